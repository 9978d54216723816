// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>

#include "dmabuffs/base/range.h"

namespace dmabuffs {

/// No buffer is larger; leaves headroom for rounding and doubling in 64 bits.
inline constexpr uint64_t kLargestBuffer = uint64_t{1} << 60;

constexpr bool fits(Range range) {
  return range.offset <= kLargestBuffer && range.length <= kLargestBuffer - range.offset;
}
constexpr const char* too_large() {
  return ": larger than a buffer can be";
}

/// A buffer may hold 12.5 % more than it needs (docs/semantics.md); beyond that its memory is trimmed.
constexpr bool wastes_memory(uint64_t held, uint64_t needed) {
  return held > needed + needed / 8;
}

}  // namespace dmabuffs
