// SPDX-License-Identifier: MIT
/// What the kernel says of this process's mappings (proc(5), /proc/PID/smaps).
#pragma once
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

/// The rest of the line that begins with `name` ("VmFlags:") of the mapping that holds `address`; empty
/// without one.
inline std::string smaps_value(const std::byte* address, const std::string& name) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t start = 0, end = 0;
    char dash = 0;
    if (std::istringstream(line) >> std::hex >> start >> dash >> end && dash == '-')
      here = start <= wanted && wanted < end;
    if (here && line.starts_with(name)) return line.substr(name.size());
  }
  return {};
}
