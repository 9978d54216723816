// SPDX-License-Identifier: MIT
/// Device nodes that are not there, or that the user may not open: why, and the line that changes it.
#pragma once
#include <string>

#include "dmabuffs/cli/doctor/checks.h"

namespace dmabuffs::cli {

/// A node that is not in /dev. `sysfs`: its directory below /sys/class, `module`: what could bring it,
/// `option`: what the kernel would have to be built with.
Check absent_node(const Machine& machine, const std::string& name, const std::string& node,
                  const std::string& sysfs, const std::string& module, const std::string& option);

/// A node that is there but that the user may not open.
Check denied_node(const Machine& machine, const std::string& name, const std::string& node);

/// A node that is there.
Check node_check(const Machine& machine, const std::string& name, const std::string& node);

/// "root:kvm, mode 0660"
std::string ownership(const Machine& machine, const std::string& node);

/// A line that calls `program`, after one that installs its Debian package where it lacks.
std::string with_program(const Machine& machine, const std::string& program, const std::string& package,
                         const std::string& line);

}  // namespace dmabuffs::cli
