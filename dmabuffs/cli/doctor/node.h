// SPDX-License-Identifier: MIT
/// Device nodes that are not there, or that the user may not open: why, and the line that changes it.
#pragma once
#include <string>

#include "dmabuffs/cli/doctor/checks.h"

namespace dmabuffs::cli {

struct Device {
  std::string check;   ///< the name of its check
  std::string node;    ///< "/dev/udmabuf"
  std::string sysfs;   ///< its directory below /sys/class
  std::string module;  ///< what could bring it; empty: nothing known
  std::string option;  ///< what the kernel would have to be built with; empty: no option of its own
};

/// Whether the user can open it; if not, why.
Check device_check(const Machine& machine, const Device& device);

/// A line that calls `program`, after one that installs its Debian package where it lacks.
std::string with_program(const Machine& machine, const std::string& program, const std::string& package,
                         const std::string& line);

}  // namespace dmabuffs::cli
