// SPDX-License-Identifier: MIT
/// Pictures are read a band of rows at a time, so that one of any size takes little memory.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/image/picture.h"

namespace dmabuffs::image {

/// Reads all of `to` at `offset`, or fails.
using ReadAt = std::function<Result<void>(uint64_t offset, std::span<std::byte> to)>;

/// Some rows of a picture, in memory.
struct Band {
  uint32_t first = 0,
           rows = 0;  ///< of pixels; `first` is a multiple of the format's vertical(), of 2 in raw Bayer
  /// Of each plane the rows that belong to these: their first byte, and bytes from one to the next. The last
  /// row has its row_bytes() only.
  std::array<std::span<const std::byte>, 3> planes{};
  std::array<uint64_t, 3> strides{};
};

/// Goes through a picture from the top. `picture` must have passed check_fits() and check_linear().
class BandReader {
 public:
  /// `rows_at_once` is rounded to whole blocks of the format, at least one (two of raw Bayer).
  BandReader(const Picture& picture, ReadAt read, uint32_t rows_at_once);
  /// The next rows, valid until the next call; none (rows 0) at the end.
  Result<Band> next();

 private:
  Picture picture_;
  ReadAt read_;
  uint32_t rows_, at_ = 0;
  std::array<std::vector<std::byte>, 3> bytes_;
};

/// Rows that take about a quarter of a megabyte, in whole blocks of the format.
uint32_t usual_rows(const Picture& picture);

}  // namespace dmabuffs::image
