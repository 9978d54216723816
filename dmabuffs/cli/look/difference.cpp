// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/look/difference.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "dmabuffs/cli/look/choice.h"
#include "dmabuffs/cli/look/sink.h"
#include "dmabuffs/image/pixels.h"
#include "dmabuffs/image/png.h"

namespace dmabuffs::cli {

using image::Band;
using image::Difference;
using image::Picture;

image::ReadAt Sides::reader(size_t side, uint64_t frame) const {
  return source[side]->reader(frame * frame_bytes(*picture[side]));
}

namespace {

/// Of those before `end` that both have. `only_first`: no further than that.
Result<ByteDifference> compare_bytes(const Sides& sides, uint64_t at, uint64_t end, bool only_first) {
  constexpr size_t kAtOnce = size_t{256} << 10;
  ByteDifference found;
  end = std::min({end, *sides.source[0]->size(), *sides.source[1]->size()});
  std::vector<std::byte> left(kAtOnce), right(kAtOnce);
  for (; at < end; at += kAtOnce) {
    const auto size = static_cast<size_t>(std::min<uint64_t>(kAtOnce, end - at));
    TRY(sides.source[0]->read(at, std::span(left).first(size)));
    TRY(sides.source[1]->read(at, std::span(right).first(size)));
    if (std::memcmp(left.data(), right.data(), size) == 0) continue;
    for (size_t i = 0; i < size; ++i) found.count += left[i] != right[i] ? 1 : 0;
    if (found.first) continue;
    const size_t i = static_cast<size_t>(std::ranges::mismatch(left, right).in1 - left.begin());
    found.first = at + i;
    found.values = {static_cast<uint8_t>(left[i]), static_cast<uint8_t>(right[i])};
    if (only_first) return found;
  }
  return found;
}

void add(Difference& all, const Difference& one) {
  if (!all.first) all.first = one.first;
  all.pixels += one.pixels;
  all.other_bits |= one.other_bits;
  for (size_t i = 0; i < all.largest.size(); ++i) {
    all.largest[i] = std::max(all.largest[i], one.largest[i]);
    all.squares[i] += one.squares[i];
    all.samples[i] += one.samples[i];
  }
}

Result<Difference> compare_frame(const Sides& sides, uint64_t frame, const image::OnRow& on_row) {
  return image::compare(*sides.picture[0], sides.reader(0, frame), *sides.picture[1], sides.reader(1, frame),
                        sides.tolerance, on_row);
}

/// Offsets as they are in the files.
void place(Difference& difference, const Sides& sides, uint64_t frame) {
  if (!difference.first) return;
  difference.first->offset_a += frame * frame_bytes(*sides.picture[0]);
  difference.first->offset_b += frame * frame_bytes(*sides.picture[1]);
}

/// With the padding of its last row.
uint64_t end_of_frames(const Picture& picture, uint64_t frames) {
  return first_byte(picture) + frames * frame_bytes(picture);
}

Result<bool> bits_differ(const Sides& sides, const Difference& samples) {
  const Picture& picture = *sides.picture[0];
  if (std::ranges::any_of(samples.largest, [](uint32_t distance) { return distance > 0; })) return false;
  if (samples.other_bits || !sides.laid_out_alike()) return samples.other_bits;
  // Without a byte of padding there is none to look at.
  uint64_t in_rows = 0;
  for (size_t i = 0; i < picture.format->plane_count(); ++i)
    in_rows += picture.row_bytes(i) * picture.rows(i);
  const uint64_t begin = sides.first_frame() == 0 ? 0 : end_of_frames(picture, sides.first_frame());
  const uint64_t end = end_of_frames(picture, sides.end_frame());
  if (in_rows * sides.frames_compared() == end - begin) return false;
  return TRY(compare_bytes(sides, begin, end, true)).first.has_value();
}

Result<std::optional<Behind>> compare_behind(const Sides& sides, const std::array<uint64_t, 2>& sizes) {
  Behind behind{.compared = sides.laid_out_alike()};
  if (sides.only || !sides.as_many_frames()) return std::nullopt;
  for (size_t i = 0; i < sizes.size(); ++i)
    behind.bytes[i] = sizes[i] - std::min(sizes[i], end_of_frames(*sides.picture[i], sides.frames[i]));
  if (std::ranges::max(behind.bytes) == 0) return std::nullopt;
  if (behind.compared)
    behind.first =
        TRY(compare_bytes(sides, end_of_frames(*sides.picture[0], sides.frames[0]), UINT64_MAX, true)).first;
  return behind;
}

}  // namespace

bool Findings::same(const Sides& sides) const {
  if (other_pictures) return false;
  if (bytes) return bytes->count == 0 && sizes[0] == sizes[1];
  return all->pixels == 0 && sides.as_many_frames() && !(behind && behind->differs());
}

Result<Findings> find_differences(const Sides& sides) {
  Findings findings;
  findings.sizes = {*sides.source[0]->size(), *sides.source[1]->size()};
  if (!sides.has_pictures()) {
    findings.bytes = TRY(compare_bytes(sides, 0, UINT64_MAX, false));
    return findings;
  }
  if (!sides.comparable()) {
    findings.other_pictures = true;
    return findings;
  }
  findings.all.emplace();
  findings.frame = sides.first_frame();
  for (uint64_t frame = sides.first_frame(); frame < sides.end_frame(); ++frame) {
    Difference one = TRY(compare_frame(sides, frame, nullptr));
    place(one, sides, frame);
    if (one.first && !findings.all->first) findings.frame = frame;
    add(*findings.all, one);
  }
  findings.padding_differs = TRY(bits_differ(sides, *findings.all));
  findings.behind = TRY(compare_behind(sides, findings.sizes));
  return findings;
}

Result<void> write_marked(const Sides& sides, uint64_t frame, const std::string& path) {
  constexpr size_t kPixel = 4;
  constexpr unsigned kDarker = 3;
  const Picture& picture = *sides.picture[0];
  const auto look = TRY(image::make_look(picture, "", "", ""));
  auto file = TRY(WholeFile::create(path));
  image::PngWriter png(picture.width, picture.height, /*alpha=*/false,
                       [&file](std::span<const std::byte> bytes) { return file.write(bytes); });
  // Beside the comparison, which tells of rows only whether they differ.
  image::BandReader reader(picture, sides.reader(0, frame), image::usual_rows(picture));
  std::vector<uint8_t> rgba;
  uint32_t first = 0, end = 0;
  const auto mark = [&](uint32_t y, std::span<const uint8_t> differs) -> Result<void> {
    if (y == end) {
      const Band band = TRY(reader.next());
      first = band.first;
      end = first + band.rows;
      rgba.resize(size_t{band.rows} * picture.width * kPixel);
      image::to_rgba(picture, band, look, rgba);
    }
    const auto row =
        std::span(rgba).subspan(size_t{y - first} * picture.width * kPixel, picture.width * kPixel);
    for (size_t x = 0; x < picture.width; ++x) {
      const auto pixel = row.subspan(x * kPixel, kPixel);
      // The eye's share of the colours, in 256ths.
      const unsigned grey = (77U * pixel[0] + 150U * pixel[1] + 29U * pixel[2]) / 256;
      std::fill_n(pixel.begin(), 3, static_cast<uint8_t>(differs[x] != 0 ? 0 : grey / kDarker));
      if (differs[x] != 0) pixel[0] = 255;
    }
    return png.write(row);
  };
  TRY(compare_frame(sides, frame, mark));
  TRY(png.finish());
  return file.finish();
}

}  // namespace dmabuffs::cli
