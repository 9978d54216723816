// SPDX-License-Identifier: MIT
/// Samples of a row of pixels as numbers, whatever the format: by its table of channels.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "dmabuffs/image/band.h"
#include "dmabuffs/image/format.h"

namespace dmabuffs::image {

/// The row of a plane that a row of the band's pixels has its samples in; `row` counts from the band's first.
inline const std::byte* row_in(const Band& band, const Format& format, size_t plane, uint32_t row) {
  return band.planes[plane].data() + row / format.planes[plane].vertical * band.strides[plane];
}

/// The sample of pixel `x` in a row of the channel's plane.
uint32_t sample_at(const Format& format, const Channel& channel, const std::byte* row, uint32_t x);

/// Those of the pixels from `first` on, which is a multiple of format.horizontal(); where one stands for
/// several pixels it is repeated.
void read_samples(const Format& format, const Channel& channel, const std::byte* row, uint32_t first,
                  std::span<uint16_t> to);

}  // namespace dmabuffs::image
