// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/message.h"

#include <sys/resource.h>

#include <array>
#include <cstdio>

namespace dmabuffs {
std::string size_text(uint64_t bytes) {
  static constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 and more would be printed as 1024.0.
  while (value >= 1023.95 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, units[unit]);
  return text.data();
}

Failure fail_system(int code, const std::string& object) {
  if (code == EMFILE) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return fail(code,
                object + ": all " + std::to_string(limit.rlim_cur) +
                    " file descriptors of the process are in use; mount with a higher limit (ulimit -n, "
                    "systemd: LimitNOFILE=)");
  }
  if (code == ENFILE)
    return fail(code, object + ": the machine's file descriptors are all in use; raise fs.file-max (sysctl)");
  return fail_errno(code, object);
}

}  // namespace dmabuffs
