// SPDX-License-Identifier: MIT
#include "dmabuffs/image/samples.h"

#include <bit>
#include <cstring>
#include <utility>

namespace dmabuffs::image {

namespace {

template <class T>
T load(const std::byte* from) {
  static_assert(std::endian::native == std::endian::little || sizeof(T) == 1, "buffers are little-endian");
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// How samples lie that can be loaded by themselves: in a T each, `step` bytes from one to the next, each for
/// `pixels` pixels.
struct Run {
  const std::byte* from;
  size_t step;
  uint32_t pixels;
  int shift;
  uint16_t mask;
};

/// With what is constant in a loop known to the compiler, which then does many at once.
template <class T, size_t kStep, uint32_t kPixels>
void read_run(const Run& run, std::span<uint16_t> to) {
  const std::byte* __restrict from = run.from;
  uint16_t* __restrict out = to.data();
  const size_t whole = to.size() / kPixels;
  const auto value = [&](size_t i) {
    const T loaded = load<T>(from + i * kStep);
    return sizeof(T) == 1 ? loaded : static_cast<uint16_t>((loaded >> run.shift) & run.mask);
  };
  for (size_t i = 0; i < whole; ++i)
    for (uint32_t pixel = 0; pixel < kPixels; ++pixel) out[i * kPixels + pixel] = value(i);
  for (size_t i = whole * kPixels; i < to.size(); ++i) out[i] = value(whole);
}

template <class T, size_t... kSteps>
bool read_one_of(const Run& run, std::span<uint16_t> to, std::index_sequence<kSteps...>) {
  const auto read = [&]<size_t kStep>(std::integral_constant<size_t, kStep>) {
    if (run.step != kStep) return false;
    if (run.pixels == 1)
      read_run<T, kStep, 1>(run, to);
    else if (run.pixels == 2)
      read_run<T, kStep, 2>(run, to);
    else
      return false;
    return true;
  };
  return (read(std::integral_constant<size_t, kSteps>()) || ...);
}

/// False: they are not of such a layout.
bool read_together(const Format& format, const Channel& channel, const std::byte* row, uint32_t first,
                   std::span<uint16_t> to) {
  const PlaneShape& shape = format.planes[channel.plane];
  // Pixels of a block have their own samples, all at one distance, or share one.
  if (channel.step != 0 && channel.step * shape.horizontal != shape.bytes * 8) return false;
  Run run{.step = channel.step != 0 ? channel.step / size_t{8} : shape.bytes,
          .pixels = channel.step != 0 ? uint32_t{1} : shape.horizontal,
          .shift = channel.shift % 16,
          .mask = static_cast<uint16_t>((1U << channel.bits) - 1)};
  row += first / run.pixels * run.step;
  if (channel.bits == 8 && channel.shift % 8 == 0) {
    run.from = row + channel.shift / 8;
    return read_one_of<uint8_t>(run, to, std::index_sequence<1, 2, 3, 4>());
  }
  if (run.shift + channel.bits > 16) return false;
  run.from = row + channel.shift / 16 * 2;
  return read_one_of<uint16_t>(run, to, std::index_sequence<2, 4>());
}

}  // namespace

uint32_t sample_at(const Format& format, const Channel& channel, const std::byte* row, uint32_t x) {
  const PlaneShape& shape = format.planes[channel.plane];
  uint64_t block = 0;
  for (size_t i = 0; i < shape.bytes; ++i)
    block |= std::to_integer<uint64_t>(row[x / shape.horizontal * shape.bytes + i]) << (8 * i);
  const uint32_t at = channel.shift + x % shape.horizontal * channel.step;
  return static_cast<uint32_t>(block >> at) & ((1U << channel.bits) - 1);
}

void read_samples(const Format& format, const Channel& channel, const std::byte* row, uint32_t first,
                  std::span<uint16_t> to) {
  if (read_together(format, channel, row, first, to)) return;
  for (size_t i = 0; i < to.size(); ++i)
    to[i] = static_cast<uint16_t>(sample_at(format, channel, row, first + static_cast<uint32_t>(i)));
}

}  // namespace dmabuffs::image
