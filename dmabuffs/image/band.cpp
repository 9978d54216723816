// SPDX-License-Identifier: MIT
#include "dmabuffs/image/band.h"

#include <algorithm>
#include <utility>

#include "dmabuffs/base/range.h"

namespace dmabuffs::image {

namespace {

/// Rows that belong together: a raw Bayer cell is two rows, too.
uint32_t block_rows(const Format& format) {
  return format.model == Model::Bayer ? 2 : format.vertical();
}

/// A stride may be any number; what pads rows is read with them unless it is more than they are, and a page.
bool reads_padding(const Picture& picture, size_t plane) {
  return picture.planes[plane].stride <= 2 * picture.row_bytes(plane) + kPage;
}

/// Bytes from a row to the next in a band.
uint64_t stride_in_band(const Picture& picture, size_t plane) {
  return reads_padding(picture, plane) ? picture.planes[plane].stride : picture.row_bytes(plane);
}

}  // namespace

BandReader::BandReader(const Picture& picture, ReadAt read, uint32_t rows_at_once)
    : picture_(picture), read_(std::move(read)) {
  const uint32_t block = block_rows(*picture.format);
  // Two blocks at least of raw Bayer: see next().
  const uint32_t least = picture.format->model == Model::Bayer ? 2 * block : block;
  rows_ = std::max(rows_at_once / block * block, least);
}

Result<Band> BandReader::next() {
  Band band{.first = at_, .rows = std::min(rows_, picture_.height - at_)};
  // The last line of an odd height repeats the colours of the cells above it, so it comes with them.
  if (picture_.format->model == Model::Bayer && picture_.height - at_ == band.rows + 1) band.rows -= 2;
  for (size_t i = 0; band.rows > 0 && i < picture_.format->plane_count(); ++i) {
    const uint32_t vertical = picture_.format->planes[i].vertical;
    const uint64_t first = band.first / vertical;
    const uint64_t rows = (band.rows + vertical - 1) / vertical;
    const uint64_t row_bytes = picture_.row_bytes(i);
    const uint64_t stride = stride_in_band(picture_, i);
    const uint64_t offset = picture_.planes[i].offset + picture_.planes[i].stride * first;
    bytes_[i].resize(stride * (rows - 1) + row_bytes);
    const std::span<std::byte> bytes = bytes_[i];
    if (reads_padding(picture_, i))
      TRY(read_(offset, bytes));
    else
      for (uint64_t row = 0; row < rows; ++row)
        TRY(read_(offset + row * picture_.planes[i].stride, bytes.subspan(row * stride, row_bytes)));
    band.planes[i] = bytes;
    band.strides[i] = stride;
  }
  at_ += band.rows;
  return band;
}

uint32_t usual_rows(const Picture& picture) {
  // Enough that calls cost little, and what they fill stays in the cache: fresh pages cost more than calls.
  constexpr uint64_t kBand = kMiB / 4;
  const uint32_t block = block_rows(*picture.format);
  uint64_t bytes = 0;  // of one block of rows
  for (size_t i = 0; i < picture.format->plane_count(); ++i)
    bytes += stride_in_band(picture, i) * (block / picture.format->planes[i].vertical);
  return static_cast<uint32_t>(std::max<uint64_t>(kBand / bytes, 1) * block);
}

}  // namespace dmabuffs::image
