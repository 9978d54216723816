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
  return source[side]->reader(offset[side] + frame * frame_bytes(*picture[side]));
}

Result<ByteDifference> compare_bytes(const Sides& sides, bool only_first) {
  constexpr size_t kAtOnce = size_t{256} << 10;
  ByteDifference found;
  const uint64_t end = std::min(*sides.source[0]->size(), *sides.source[1]->size());
  std::vector<std::byte> left(kAtOnce), right(kAtOnce);
  for (uint64_t at = 0; at < end; at += kAtOnce) {
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

namespace {

void add(Difference& all, const Difference& one) {
  if (!all.first) all.first = one.first;
  all.pixels += one.pixels;
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
  difference.first->offset_a += sides.offset[0] + frame * frame_bytes(*sides.picture[0]);
  difference.first->offset_b += sides.offset[1] + frame * frame_bytes(*sides.picture[1]);
}

bool alike(const Picture& a, const Picture& b) {
  return a.format == b.format && a.width == b.width && a.height == b.height;
}

}  // namespace

bool Findings::same(const Sides& sides) const {
  if (other_pictures) return false;
  if (bytes) return bytes->count == 0 && sizes[0] == sizes[1];
  return all->pixels == 0 && sides.frames[0] == sides.frames[1];
}

Result<Findings> find_differences(const Sides& sides) {
  Findings findings;
  findings.sizes = {*sides.source[0]->size(), *sides.source[1]->size()};
  if (!sides.has_pictures()) {
    findings.bytes = TRY(compare_bytes(sides, false));
    return findings;
  }
  if (!alike(*sides.picture[0], *sides.picture[1])) {
    findings.other_pictures = true;
    return findings;
  }
  findings.all.emplace();
  for (uint64_t frame = 0; frame < sides.common_frames(); ++frame) {
    Difference one = TRY(compare_frame(sides, frame, nullptr));
    place(one, sides, frame);
    if (one.first && !findings.all->first) findings.frame = frame;
    add(*findings.all, one);
  }
  const bool could_be_alike = sides.picture[0] == sides.picture[1] && findings.sizes[0] == findings.sizes[1];
  // Without a byte of padding there is none to look at.
  uint64_t pixel_bytes = 0;
  for (size_t i = 0; i < sides.picture[0]->format->plane_count(); ++i)
    pixel_bytes += sides.picture[0]->row_bytes(i) * sides.picture[0]->rows(i);
  if (findings.all->pixels == 0 && could_be_alike && pixel_bytes * sides.frames[0] < findings.sizes[0])
    findings.padding_differs = TRY(compare_bytes(sides, true)).first.has_value();
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
