// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/private_namespace.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs::cli {
namespace {

Result<void> write_file(const std::string& path, const std::string& text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno(errno, path);
  return {};
}

/// A map of one id to itself is what everyone may write for himself, once setgroups is off
/// (user_namespaces(7)).
Result<void> map_own_ids(uid_t uid, gid_t gid) {
  const std::string user = std::to_string(uid), group = std::to_string(gid);
  if (auto denied = write_file("/proc/self/setgroups", "deny"); !denied) return denied;
  if (auto mapped = write_file("/proc/self/uid_map", user + " " + user + " 1"); !mapped) return mapped;
  return write_file("/proc/self/gid_map", group + " " + group + " 1");
}

}  // namespace

Result<void> enter_private_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
      return fail(errno,
                  std::string("no private mount: user namespaces are not allowed here (") +
                      std::strerror(errno) +
                      "); allow them (kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0) or "
                      "use `dmabuffs mount`");
    if (auto mapped = map_own_ids(uid, gid); !mapped) return mapped;
  }
  // What the host mounts from now on still arrives here; nothing goes back.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    return fail(errno, std::string("no private mount: can't cut / off from the other mount namespaces: ") +
                           std::strerror(errno));
  return {};
}

void keep_mount_capability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return;
  sets[CAP_TO_INDEX(CAP_SYS_ADMIN)].inheritable |= CAP_TO_MASK(CAP_SYS_ADMIN);
  if (::syscall(SYS_capset, &header, sets) != 0) return;
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0);
}

}  // namespace dmabuffs::cli
