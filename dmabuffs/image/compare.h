// SPDX-License-Identifier: MIT
/// How two pictures of one format and size differ.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "dmabuffs/base/result.h"
#include "dmabuffs/image/band.h"
#include "dmabuffs/image/picture.h"

namespace dmabuffs::image {

/// What differs is counted in the format's own samples (Y, U, V; R, G, B), in their own bits.
struct Difference {
  struct First {
    uint32_t x = 0, y = 0;  ///< the topmost, leftmost pixel that it is about
    size_t plane = 0;
    char channel = 0;
    uint32_t a = 0, b = 0;                ///< the samples
    uint64_t offset_a = 0, offset_b = 0;  ///< of its block in either file
  };
  std::optional<First> first;         ///< in reading order of the pixels
  uint64_t pixels = 0;                ///< that differ in any channel
  std::array<uint32_t, 4> largest{};  ///< per channel, in the order of Format::channels
  std::array<double, 4> squares{};    ///< sums of the squared differences, per channel
  std::array<uint64_t, 4> samples{};  ///< compared, per channel
  bool other_bits =
      false;  ///< bits of no channel (the X of XR24) differ in a row whose samples are all the same
  /// Of all channels but alpha together, with the largest sample as the peak; nothing: they are the same.
  [[nodiscard]] std::optional<double> psnr(const Format& format) const;
};

/// Told of each row of pixels: `differs` has a byte a pixel, 1 where it differs by more than the tolerance.
using OnRow = std::function<Result<void>(uint32_t y, std::span<const uint8_t> differs)>;

/// Samples that are at most `tolerance` apart are the same (they count in `largest` and `squares` all the
/// same). Strides and offsets of the two may differ, format and size not; what pads rows is not compared.
/// `on_row` may be null.
Result<Difference> compare(const Picture& a, const ReadAt& read_a, const Picture& b, const ReadAt& read_b,
                           uint32_t tolerance, const OnRow& on_row);

}  // namespace dmabuffs::image
