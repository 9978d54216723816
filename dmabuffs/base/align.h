// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>

#include "dmabuffs/base/range.h"

namespace dmabuffs {

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

}  // namespace dmabuffs
