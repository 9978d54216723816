// SPDX-License-Identifier: MIT
#include <algorithm>

#include "dmabuffs/image/pixels_parts.h"

namespace dmabuffs::image {

void bayer_to_rgba(const Format& format, const Band& band, uint32_t row, std::span<uint8_t> to) {
  const Channel& channel = format.channels[0];
  const auto columns = static_cast<uint32_t>(to.size() / 4);
  const int shift = channel.bits - 8;
  // Of an odd line at the end: the cells above it. In one line alone what is missing repeats what is there.
  const uint32_t cell = std::min(row / 2, std::max(band.rows / 2, 1U) - 1);
  const uint32_t lines[2] = {cell * 2, std::min(cell * 2 + 1, band.rows - 1)};
  std::array<std::array<uint16_t, kPart>, 2> samples;
  // % 4: that each letter is there the compiler can't know.
  const auto first_of = [&](size_t at) { return &samples[at % 4 / 2][at % 2]; };
  const uint16_t* red = first_of(format.bayer.find('R'));
  const uint16_t* green = first_of(format.bayer.find('G'));
  const uint16_t* other_green = first_of(format.bayer.rfind('G'));
  const uint16_t* blue = first_of(format.bayer.find('B'));
  for (uint32_t first = 0; first < columns; first += kPart) {
    const uint32_t pixels = std::min(kPart, columns - first);
    for (size_t i = 0; i < 2; ++i) {
      read_samples(format, channel, row_in(band, format, 0, lines[i]), first,
                   std::span(samples[i]).first(pixels));
      if (pixels % 2 != 0) samples[i][pixels] = samples[i][pixels - 1];
    }
    uint8_t* pixel = &to[size_t{first} * 4];
    for (uint32_t x = 0; x < pixels; ++x, pixel += 4) {
      const uint32_t left = x & ~1U;
      pixel[0] = static_cast<uint8_t>(red[left] >> shift);
      pixel[1] = static_cast<uint8_t>((green[left] + other_green[left]) / 2 >> shift);
      pixel[2] = static_cast<uint8_t>(blue[left] >> shift);
      pixel[3] = 255;
    }
  }
  // So of an odd column.
  if (columns % 2 != 0 && columns > 1) std::copy(to.end() - 8, to.end() - 4, to.end() - 4);
}

}  // namespace dmabuffs::image
