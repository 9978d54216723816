// SPDX-License-Identifier: MIT
/// Ranges of bytes, and how they lie between multiples of a unit.
#pragma once
#include <algorithm>
#include <cstdint>

namespace dmabuffs {

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kHugePage = uint64_t{2} << 20;

constexpr uint64_t round_down(uint64_t value, uint64_t unit) {
  return value / unit * unit;
}
constexpr uint64_t round_up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// Bytes [offset, offset + length).
struct Range {
  uint64_t offset = 0;
  uint64_t length = 0;
  [[nodiscard]] constexpr uint64_t end() const { return offset + length; }
};

/// How a range splits at multiples of a unit: head and tail are shorter than one unit, the body is whole
/// units.
struct Split {
  uint64_t head = 0;
  uint64_t body = 0;
  uint64_t tail = 0;
};

/// Splits [offset, offset + length) at multiples of `unit`. A range that holds no whole unit is all head.
constexpr Split split_aligned(Range range, uint64_t unit) {
  const uint64_t start = round_up(range.offset, unit);
  const uint64_t end = round_down(range.end(), unit);
  if (end <= start) return {range.length, 0, 0};
  return {start - range.offset, end - start, range.end() - end};
}

/// The smallest range of whole units that holds `range`.
constexpr Range round_outward(Range range, uint64_t unit) {
  const uint64_t start = round_down(range.offset, unit);
  return {start, round_up(range.end(), unit) - start};
}

inline constexpr uint64_t kKiB = uint64_t{1} << 10, kMiB = uint64_t{1} << 20, kGiB = uint64_t{1} << 30;

}  // namespace dmabuffs
