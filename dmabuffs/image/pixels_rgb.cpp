// SPDX-License-Identifier: MIT
#include <cstring>

#include "dmabuffs/image/pixels_parts.h"

namespace dmabuffs::image {

namespace {

/// A channel of a part in 8 bits: the upper ones; fewer are stretched, so that all ones are 255.
class Bytes {
 public:
  Bytes(const Part& part, const Channel& channel) {
    const Samples samples(part, channel);
    const uint16_t* __restrict from = samples.data();
    const size_t pixels = part.pixels();
    if (channel.bits >= 8) {
      const int shift = channel.bits - 8;
      for (size_t i = 0; i < pixels; ++i) values_[i] = static_cast<uint8_t>(from[i] >> shift);
    } else {
      // v * 255 / most, rounded: no such quotient is near enough to a half for these 16 bits not to be exact.
      const uint32_t factor = (255U << 16) / ((1U << channel.bits) - 1) + 1;
      for (size_t i = 0; i < pixels; ++i)
        values_[i] = static_cast<uint8_t>((from[i] * factor + 0x8000) >> 16);
    }
  }
  uint8_t operator[](size_t i) const { return values_[i]; }

 private:
  std::array<uint8_t, kPart> values_;
};

/// Where the upper 8 bits of a channel begin in a pixel.
int upper_bits(const Channel& channel) {
  return channel.shift + channel.bits - 8;
}

/// Whether a pixel is one 32-bit number, and each channel at least 8 bits of it.
bool is_number(const Format& format) {
  if (format.planes[0].bytes != 4) return false;
  for (const Channel& channel : format.channels)
    if (channel.name != 0 && channel.bits < 8) return false;
  return true;
}

void numbers_to_rgba(const Part& part) {
  const auto& channels = part.format.channels;
  const int red = upper_bits(channels[0]), green = upper_bits(channels[1]), blue = upper_bits(channels[2]);
  const int alpha = part.format.has_alpha() ? upper_bits(channels[3]) : 0;
  const uint32_t opaque = part.format.has_alpha() ? 0 : 255;
  const std::byte* __restrict from =
      row_in(part.band, part.format, 0, part.row) + size_t{part.first} * sizeof(uint32_t);
  uint8_t* __restrict to = part.to.data();
  const size_t pixels = part.pixels();
  for (size_t i = 0; i < pixels; ++i) {
    uint32_t in;
    std::memcpy(&in, from + 4 * i, sizeof in);
    const uint32_t out = ((in >> red) & 255) | ((in >> green) & 255) << 8 | ((in >> blue) & 255) << 16 |
                         (((in >> alpha) & 255) | opaque) << 24;
    std::memcpy(to + 4 * i, &out, sizeof out);
  }
}

}  // namespace

void rgb_to_rgba(const Part& part) {
  if (is_number(part.format)) return numbers_to_rgba(part);
  const auto& channels = part.format.channels;
  const Bytes red(part, channels[0]), green(part, channels[1]), blue(part, channels[2]);
  for (size_t i = 0; i < part.pixels(); ++i) {
    part.to[4 * i] = red[i];
    part.to[4 * i + 1] = green[i];
    part.to[4 * i + 2] = blue[i];
    part.to[4 * i + 3] = 255;
  }
  if (!part.format.has_alpha()) return;
  const Bytes alpha(part, channels[3]);
  for (size_t i = 0; i < part.pixels(); ++i) part.to[4 * i + 3] = alpha[i];
}

void grey_to_rgba(const Part& part, const Channel& channel) {
  const Bytes grey(part, channel);
  for (size_t i = 0; i < part.pixels(); ++i) {
    part.to[4 * i] = part.to[4 * i + 1] = part.to[4 * i + 2] = grey[i];
    part.to[4 * i + 3] = 255;
  }
}

}  // namespace dmabuffs::image
