// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/look/colours.h"

#include <algorithm>

#include "dmabuffs/cli/look/sink.h"
#include "dmabuffs/image/png.h"

namespace dmabuffs::cli {

namespace {
constexpr size_t kPixel = 4;            // bytes
constexpr size_t kSummed = kPixel + 1;  // figures of a new pixel
}  // namespace

Result<void> each_band(const image::Picture& picture, const image::ReadAt& read, const image::Look& look,
                       const OnRows& on_rows) {
  image::BandReader reader(picture, read, image::usual_rows(picture));
  std::vector<uint8_t> rgba;
  for (;;) {
    const image::Band band = TRY(reader.next());
    if (band.rows == 0) return {};
    rgba.resize(size_t{band.rows} * picture.width * kPixel);
    image::to_rgba(picture, band, look, rgba);
    TRY(on_rows(rgba));
  }
}

Result<void> write_png(const image::Picture& picture, const image::ReadAt& read, const image::Look& look,
                       const std::string& path) {
  auto file = TRY(WholeFile::create(path));
  image::PngWriter png(picture.width, picture.height, picture.format->has_alpha() && look.channel == 0,
                       [&file](std::span<const std::byte> bytes) { return file.write(bytes); });
  TRY(each_band(picture, read, look, [&png](std::span<const uint8_t> rgba) { return png.write(rgba); }));
  TRY(png.finish());
  return file.finish();
}

Shrinker::Shrinker(uint32_t width, uint32_t height, uint32_t new_width, uint32_t new_height, OnRows on_row)
    : width_(width),
      height_(height),
      new_width_(new_width),
      new_height_(new_height),
      on_row_(std::move(on_row)),
      column_(width),
      sums_(new_width * kSummed),
      row_(new_width * kPixel) {
  for (uint32_t x = 0; x < width; ++x) column_[x] = static_cast<uint32_t>(uint64_t{x} * new_width / width);
}

Result<void> Shrinker::add(std::span<const uint8_t> rgba) {
  for (; !rgba.empty(); rgba = rgba.subspan(size_t{width_} * kPixel)) {
    add_row(rgba.first(size_t{width_} * kPixel));
    const auto new_row = [this](uint64_t row) { return row * new_height_ / height_; };
    ++rows_;
    if (rows_ == height_ || new_row(rows_) != new_row(rows_ - 1)) TRY(end_row());
  }
  return {};
}

void Shrinker::add_row(std::span<const uint8_t> row) {
  for (size_t x = 0; x < width_; ++x) {
    uint64_t* sums = &sums_[column_[x] * kSummed];
    for (size_t i = 0; i < kPixel; ++i) sums[i] += row[x * kPixel + i];
    ++sums[kPixel];
  }
}

Result<void> Shrinker::end_row() {
  for (size_t x = 0; x < new_width_; ++x) {
    const uint64_t* sums = &sums_[x * kSummed];
    const uint64_t count = std::max<uint64_t>(sums[kPixel], 1);
    for (size_t i = 0; i < kPixel; ++i)
      row_[x * kPixel + i] = static_cast<uint8_t>((sums[i] + count / 2) / count);
  }
  std::ranges::fill(sums_, uint64_t{0});
  return on_row_(row_);
}

}  // namespace dmabuffs::cli
