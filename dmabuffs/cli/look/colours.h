// SPDX-License-Identifier: MIT
/// A picture's colours, a band of rows at a time, and where they go.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/image/band.h"
#include "dmabuffs/image/picture.h"
#include "dmabuffs/image/pixels.h"

namespace dmabuffs::cli {

/// Whole rows of RGBA, 4 bytes a pixel.
using OnRows = std::function<Result<void>(std::span<const uint8_t> rgba)>;

/// From top to bottom. `picture` must be readable.
Result<void> each_band(const image::Picture& picture, const image::ReadAt& read, const image::Look& look,
                       const OnRows& on_rows);

/// Writes it to the file `path` ("-": standard output); an error leaves none.
Result<void> write_png(const image::Picture& picture, const image::ReadAt& read, const image::Look& look,
                       const std::string& path);

/// Makes a picture smaller: each new pixel is the mean of those that come to lie in it.
class Shrinker {
 public:
  /// At most as large as before each way, at least 1.
  Shrinker(uint32_t width, uint32_t height, uint32_t new_width, uint32_t new_height, OnRows on_row);
  Result<void> add(std::span<const uint8_t> rgba);

 private:
  void add_row(std::span<const uint8_t> row);
  Result<void> end_row();

  uint32_t width_, height_, new_width_, new_height_, rows_ = 0;
  OnRows on_row_;
  std::vector<uint32_t> column_;  ///< of each pixel the new one's number
  std::vector<uint64_t> sums_;    ///< R G B A and how many, of each new pixel of this row
  std::vector<uint8_t> row_;
};

}  // namespace dmabuffs::cli
