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

/// Bytes in huge pages of shared memory in the mapping that holds `address`.
inline uint64_t huge_bytes_at(const std::byte* address) {
  const std::string kib = smaps_value(address, "ShmemPmdMapped:");
  return kib.empty() ? 0 : std::stoull(kib) * 1024;
}

/// Whether this kernel makes huge pages of a memfd by MADV_COLLAPSE.
inline bool memory_files_collapse() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  std::string setting;
  return std::getline(file, setting) && setting.find("[deny]") == std::string::npos;
}
