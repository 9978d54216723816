// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/node.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "dmabuffs/base/account.h"
#include "dmabuffs/cli/output.h"

namespace dmabuffs::cli {

namespace {

constexpr const char* kFuse = "/dev/fuse";
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

/// Debian 12's own kernel has no dma-bufs to be had; its archive has one that does.
std::string newer_kernel(const Machine& machine) {
  const bool bookworm =
      machine.text("/etc/os-release").value_or("").find("VERSION_CODENAME=bookworm") != std::string::npos;
  if (!bookworm || machine.kernel_since(6, 2)) return "";
  const size_t dash = machine.kernel.rfind('-');
  return ": apt install linux-image-6.12" + (dash == std::string::npos ? "" : machine.kernel.substr(dash));
}

/// "root:kvm, mode 0660"
std::string ownership(const struct stat& node) {
  char mode[16];
  std::snprintf(mode, sizeof mode, "%04o", node.st_mode & 07777U);
  return user_name(node.st_uid) + ":" + group_name(node.st_gid) + ", mode " + mode;
}

Check missing(const Device& device, const std::string& detail, const std::string& fix = "") {
  return {device.check, CheckState::Missing, device.node + detail, fix};
}

/// Of docker and podman.
std::string start_with(const Device& device) {
  return "start it with the device (docker, podman: --device " + device.node + ")";
}

/// The kernel has no such device, whether or not there is a node.
Check driverless(const Machine& machine, const Device& device) {
  const std::string what = machine.exists(device.node) ? " has no driver" : " is not there";
  if (is_container(machine) && !device.module.empty())
    return missing(device,
                   what + ": load it on the host (modprobe " + device.module + "), if it is a module there");
  if (machine.has_module(device.module))
    return missing(device, what + ": the module is not loaded", "modprobe " + device.module);
  if (device.option.empty()) return missing(device, what);
  return missing(device, what + ": kernel " + machine.kernel + " is built without " + device.option +
                             "; boot one that has it" + newer_kernel(machine));
}

Check absent(const Machine& machine, const Device& device) {
  // A node that is made within a container can't be opened: the container's rules for devices are set
  // outside.
  if (is_container(machine) && device.node != kFuse)
    return missing(device, " is not in this container: " + start_with(device) +
                               ", which the host has after `modprobe " + device.module +
                               "`, if it is a module there");
  // The kernel has the device, but this /dev was made without it.
  if (auto number = machine.text("/sys/class/" + device.sysfs + "/dev")) {
    std::replace(number->begin(), number->end(), ':', ' ');
    const size_t slash = device.node.rfind('/');
    const std::string directory = slash > 4 ? "mkdir -p " + device.node.substr(0, slash) + " && " : "";
    return missing(device, " is not in this /dev, though the kernel has the device",
                   directory + "mknod -m 0660 " + device.node + " c " + *number);
  }
  return driverless(machine, device);
}

/// Its owner, group and mode keep the user out.
Check forbidden(const Machine& machine, const Device& device) {
  const auto node = machine.attributes(device.node);
  if (!node) return missing(device, " is gone");
  const std::string detail = ": permission denied (" + ownership(*node) + ")";
  const bool everyone = (node->st_mode & 0006U) == 0006U;
  if (!everyone && is_of_nobody(machine, *node))
    return missing(device, detail +
                               "; its group is none in this user namespace: keep the groups of who starts it "
                               "(podman: --group-add keep-groups)");
  if (everyone || machine.user == "root")
    return missing(device, detail + ", not for its mode: its file system is mounted with nodev (findmnt -T " +
                               device.node + "), or AppArmor or SELinux forbids it");
  if (device.node == kFuse) return missing(device, detail, "chmod 0666 " + device.node);
  if ((node->st_mode & 0060U) != 0060U || node->st_gid == 0) {
    // udev gives it to the group that its rule names: made before the rule was there, it has none yet.
    const bool ruled = machine.exists(kRules) && machine.exists("/run/udev/control");
    return missing(device, detail,
                   ruled ? "udevadm trigger --settle " + device.node
                         : with_program(machine, "setfacl", "acl",
                                        "setfacl -m u:" + machine.user + ":rw " + device.node));
  }
  if (std::find(machine.groups.begin(), machine.groups.end(), node->st_gid) != machine.groups.end())
    return missing(device, detail + "; you joined that group after you logged in: log in again");
  return missing(device, detail, "usermod -aG " + group_name(node->st_gid) + " " + machine.user);
}

}  // namespace

std::string with_program(const Machine& machine, const std::string& program, const std::string& package,
                         const std::string& line) {
  const bool lacks = !machine.exists("/usr/bin/" + program) && !machine.exists("/bin/" + program);
  return (lacks && machine.exists("/usr/bin/apt-get") ? "apt-get install -y " + package + " && " : "") + line;
}

Check device_check(const Machine& machine, const Device& device) {
  if (!machine.exists(device.node)) return absent(machine, device);
  const int error = machine.open_error(machine.root + device.node);
  switch (error) {
    case 0:
      return {device.check, CheckState::Ok, device.node + " can be opened", ""};
    case EACCES:
      return forbidden(machine, device);
    case ENODEV:
    case ENXIO:
      return driverless(machine, device);
    case EPERM:  // what the cgroup's rules for devices answer
      return missing(device,
                     ": refused to this container or service, whatever its mode: " + start_with(device));
    default:
      return missing(device, std::string(": ") + std::strerror(error));
  }
}

}  // namespace dmabuffs::cli
