// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/nodes.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cstdio>

namespace dmabuffs::cli {
namespace {

std::string user_name(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  return entry != nullptr ? entry->pw_name : std::to_string(uid);
}

std::string group_name(gid_t gid) {
  const group* entry = ::getgrgid(gid);
  return entry != nullptr ? entry->gr_name : std::to_string(gid);
}

}  // namespace

std::string ownership(const Machine& machine, const std::string& node) {
  const auto info = machine.attributes(node);
  if (!info) return "gone";
  char mode[16];
  std::snprintf(mode, sizeof mode, "%04o", info->st_mode & 07777U);
  return user_name(info->st_uid) + ":" + group_name(info->st_gid) + ", mode " + mode;
}

Check absent_node(const Machine& machine, const std::string& name, const std::string& node,
                  const std::string& sysfs, const std::string& module, const std::string& option) {
  // The kernel has the device, but this /dev (of a container) was made without it.
  if (auto number = machine.text("/sys/class/" + sysfs + "/dev")) {
    std::replace(number->begin(), number->end(), ':', ' ');
    const size_t slash = node.rfind('/');
    const std::string directory = slash > 4 ? "mkdir -p " + node.substr(0, slash) + " && " : "";
    return {name, CheckState::Missing, node + " is not in this /dev, though the kernel has the device",
            directory + "mknod -m 0660 " + node + " c " + *number};
  }
  if (machine.has_module(module))
    return {name, CheckState::Missing, node + " is not there: the module is not loaded",
            "modprobe " + module};
  return {name, CheckState::Missing,
          node + " is not there: kernel " + machine.kernel + " is built without " + option +
              "; boot one that has it",
          ""};
}

Check denied_node(const Machine& machine, const std::string& name, const std::string& node) {
  Check check{name, CheckState::Missing, node + ": permission denied (" + ownership(machine, node) + ")", ""};
  const auto info = machine.attributes(node);
  if (!info) return check;
  if ((info->st_mode & 0060U) != 0060U || info->st_gid == 0) {
    check.fix = "setfacl -m u:" + machine.user + ":rw " + node;
    return check;
  }
  if (std::find(machine.groups.begin(), machine.groups.end(), info->st_gid) != machine.groups.end())
    check.detail += "; you joined that group after you logged in: log in again";
  else
    check.fix = "usermod -aG " + group_name(info->st_gid) + " " + machine.user;
  return check;
}

}  // namespace dmabuffs::cli
