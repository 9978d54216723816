// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/device.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "dmabuffs/base/account.h"
#include "dmabuffs/base/io.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {
namespace {

/// A device node that can't be opened: says who may, and the remedy.
Failure fail_node(int code, const std::string& node) {
  struct stat info {};
  if ((code != EACCES && code != EPERM) || ::stat(node.c_str(), &info) != 0) {
    if (code == ENOENT || code == ENXIO || code == ENODEV) return fail(ENODEV, node + ": the device is gone");
    return fail_system(code, node);
  }
  const std::string group = group_name(info.st_gid);
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", info.st_mode & 07777U);
  std::string remedy = "add a udev rule that gives it to a group of yours (GROUP=, MODE=\"0660\")";
  if ((info.st_mode & 0060U) == 0060U && info.st_gid != 0)
    remedy = "join the group (usermod -aG " + group + " USER, then log in again)";
  return fail(EACCES, node + ": permission denied; it belongs to " + user_name(info.st_uid) + ':' + group +
                          ", mode " + mode.data() + ": " + remedy);
}

/// What users and groups a user namespace does not map are shown as (kernel.overflowuid, overflowgid).
constexpr id_t kUnknown = 65534;

bool own_group(gid_t gid) {
  if (::getegid() == gid) return true;
  const int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<size_t>(std::max(count, 0)));
  const int got = ::getgroups(static_cast<int>(groups.size()), groups.data());
  return got > 0 && std::find(groups.begin(), groups.begin() + got, gid) != groups.begin() + got;
}

/// Whether owner, group and mode alone let the daemon's user read and write.
bool granted_by_mode(const HeapAccess& access) {
  if (::geteuid() == 0) return true;
  const mode_t mode = access.mode;
  if (::geteuid() == access.uid) return (mode & 0600U) == 0600U;
  if (own_group(access.gid)) return (mode & 0060U) == 0060U;
  return (mode & 0006U) == 0006U;
}

/// The kernel refuses writes to a file whose owner or group is not mapped (inode_permission of fs/namei.c),
/// so in a user namespace the daemon's own stand for unknown ones, with the rights everybody has.
void name_unknown_owners(HeapAccess& access) {
  const mode_t others = access.mode & 0007U;
  if (access.uid == kUnknown) {
    access.uid = ::geteuid();
    access.mode = (access.mode & ~0700U) | (others << 6U);
  }
  if (access.gid == kUnknown) {
    access.gid = ::getegid();
    access.mode = (access.mode & ~0070U) | (others << 3U);
  }
}

/// rw- of a node to rwx of a directory, for each of user, group and others.
mode_t directory_bits(mode_t node) {
  const mode_t readable = node & 0444U;
  return readable | (readable >> 2U) | (node & 0222U);
}

}  // namespace

Result<UniqueFd> open_node(const std::string& node) {
  const int fd = again([&] { return ::open(node.c_str(), O_RDWR | O_CLOEXEC); });
  if (fd < 0) return fail_node(errno, node);
  return UniqueFd(fd);
}

Result<HeapAccess> node_access(const std::string& node) {
  struct stat info {};
  if (::stat(node.c_str(), &info) != 0) return fail_node(errno, node);
  HeapAccess access{info.st_uid, info.st_gid, directory_bits(info.st_mode) | S_ISVTX};
  name_unknown_owners(access);
  if (!granted_by_mode(access) && ::faccessat(AT_FDCWD, node.c_str(), R_OK | W_OK, AT_EACCESS) == 0) {
    access.uid = ::geteuid();
    access.mode |= 0700U;
  }
  return access;
}

}  // namespace dmabuffs
