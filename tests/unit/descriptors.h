// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <filesystem>

/// Of this process.
inline size_t open_descriptors() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    count += !entry.path().empty();
  return count;
}
