// SPDX-License-Identifier: MIT
#pragma once
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

}  // namespace dmabuffs
