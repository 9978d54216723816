// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/node.h"

#include <algorithm>
#include <cstdio>

#include "dmabuffs/base/account.h"
#include "dmabuffs/cli/output.h"

namespace dmabuffs::cli {

namespace {

constexpr const char* kRules = "/lib/udev/rules.d/60-dmabuffs.rules";

/// One whose devices are chosen from outside of it.
bool is_container(const Machine& machine) {
  return !machine.container.empty() && machine.container != "chroot";
}

/// Its owner and group have no number in this user namespace.
bool is_of_nobody(const Machine& machine, const struct stat& node) {
  return node.st_uid == machine.number("/proc/sys/kernel/overflowuid") &&
         node.st_gid == machine.number("/proc/sys/kernel/overflowgid");
}

}  // namespace

std::string with_program(const Machine& machine, const std::string& program, const std::string& package,
                         const std::string& line) {
  const bool lacks = !machine.exists("/usr/bin/" + program) && !machine.exists("/bin/" + program);
  return (lacks && machine.exists("/usr/bin/apt-get") ? "apt-get install -y " + package + " && " : "") + line;
}

std::string ownership(const Machine& machine, const std::string& node) {
  const auto info = machine.attributes(node);
  if (!info) return "gone";
  char mode[16];
  std::snprintf(mode, sizeof mode, "%04o", info->st_mode & 07777U);
  return user_name(info->st_uid) + ":" + group_name(info->st_gid) + ", mode " + mode;
}

Check absent_node(const Machine& machine, const std::string& name, const std::string& node,
                  const std::string& sysfs, const std::string& module, const std::string& option) {
  // A node that is made within a container can't be opened: the container's rules for devices are set
  // outside.
  if (is_container(machine) && node != "/dev/fuse")
    return {name, CheckState::Missing,
            node + " is not in this container: start it with the device (docker, podman: --device " + node +
                "), which the host has after `modprobe " + module + "`, if it is a module there",
            ""};
  // The kernel has the device, but this /dev was made without it.
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
  if (is_of_nobody(machine, *info)) {
    check.detail +=
        "; its group is none in this user namespace: keep the groups of who starts it (podman: --group-add "
        "keep-groups)";
    return check;
  }
  if ((info->st_mode & 0060U) != 0060U || info->st_gid == 0) {
    // udev gives it to the group that its rule names: made before the rule was there, it has none yet.
    const bool ruled = machine.exists(kRules) && machine.exists("/run/udev/control");
    check.fix = ruled
                    ? "udevadm trigger --settle " + node
                    : with_program(machine, "setfacl", "acl", "setfacl -m u:" + machine.user + ":rw " + node);
    return check;
  }
  if (std::find(machine.groups.begin(), machine.groups.end(), info->st_gid) != machine.groups.end())
    check.detail += "; you joined that group after you logged in: log in again";
  else
    check.fix = "usermod -aG " + group_name(info->st_gid) + " " + machine.user;
  return check;
}

Check node_check(const Machine& machine, const std::string& name, const std::string& node) {
  if (machine.can_open(machine.root + node)) return {name, CheckState::Ok, node + " can be opened", ""};
  return denied_node(machine, name, node);
}

}  // namespace dmabuffs::cli
