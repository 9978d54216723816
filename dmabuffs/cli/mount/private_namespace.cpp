// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/mount/private_namespace.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>

#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs::cli {
namespace {

constexpr int kMostLevels = 1000;  // of directories, in a path of at most PATH_MAX bytes

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

bool is_zero(const char* setting) {
  std::string value;
  std::ifstream(setting) >> value;
  return value == "0";
}

/// A kernel that was told to allow them refuses them (EPERM) to who is in a chroot, too.
std::string remedy(int code) {
  if (code == ENOSPC || is_zero("/proc/sys/user/max_user_namespaces"))
    return "raise user.max_user_namespaces (sysctl)";
  if (is_zero("/proc/sys/kernel/unprivileged_userns_clone"))
    return "set kernel.unprivileged_userns_clone=1 (sysctl)";
  return "in a chroot nobody has them, and a container needs CAP_SYS_ADMIN for it";
}

}  // namespace

Result<void> set_propagation(unsigned long type) {
  if (::mount(nullptr, "/", nullptr, MS_REC | type, nullptr) == 0) return {};
  const std::string problem = "no private mount: can't cut / off from the other mount namespaces";
  if (errno != EINVAL) return fail_errno(errno, problem);
  // The root directory of a chroot that is no mount: that one lies above. To who has the right to chroot, the
  // way up from outside of a root directory is open (chroot(2)).
  const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)), here(::open(".", O_PATH | O_CLOEXEC));
  std::string up;
  for (int level = 0; level < kMostLevels; ++level) up += "../";
  const bool above = ::chroot("/proc") == 0 && ::fchdir(root.get()) == 0 && ::chdir(up.c_str()) == 0;
  const bool done = above && ::mount(nullptr, ".", nullptr, MS_REC | type, nullptr) == 0;
  const int code = errno;
  const bool back = ::fchdir(root.get()) == 0 && ::chroot(".") == 0 && ::fchdir(here.get()) == 0;
  return done && back ? Result<void>() : fail_errno(code, problem);
}

Result<void> enter_private_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      const auto refused = fail_errno(errno, "no private mount: user namespaces are not allowed here");
      return fail(refused.value().code, refused.value().message + "; " + remedy(refused.value().code) +
                                            ", or use `dmabuffs mount`");
    }
    if (auto mapped = map_own_ids(uid, gid); !mapped) return mapped;
  }
  // What the host mounts from now on still arrives here; nothing goes back.
  return set_propagation(MS_SLAVE);
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
