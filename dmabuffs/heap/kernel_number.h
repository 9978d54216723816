// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

namespace dmabuffs {

/// The number in a file of /proc or /sys that holds one; nothing for "max", a negative one, or where there is
/// no file.
inline std::optional<uint64_t> kernel_number(const std::string& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (!(file >> value) || value < 0) return {};
  return static_cast<uint64_t>(value);
}

}  // namespace dmabuffs
