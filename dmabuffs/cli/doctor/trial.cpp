// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/trial.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "dmabuffs/base/child_process.h"
#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/mount/private_mount.h"

namespace dmabuffs::cli {
namespace {

/// Runs `body` in a process; returns the message of its error.
std::string message_of(const std::function<bool()>& become, const std::function<Result<void>()>& body) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  auto child = ChildProcess::start(SIGKILL, [&] {
    if (!become()) return 0;
    if (const auto done = body(); !done)
      (void)!::write(writer.get(), done.error().message.data(), done.error().message.size());
    return 0;
  });
  writer.reset();
  if (!child) return {};
  std::string said(4096, '\0');
  const ssize_t got = ::read(reader.get(), said.data(), said.size());
  said.resize(got > 0 ? static_cast<size_t>(got) : 0);
  child->reap();
  return said;
}

/// On the root directory, which is always there. The kernel waits for no answer.
Result<void> mount_fuse() {
  const UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device) return fail_errno(errno, "/dev/fuse");
  const std::string options = "fd=" + std::to_string(device.get()) +
                              ",rootmode=40000,user_id=" + std::to_string(::geteuid()) +
                              ",group_id=" + std::to_string(::getegid());
  return check_call(::mount("dmabuffs", "/", "fuse", MS_NOSUID | MS_NODEV, options.c_str()),
                    "mount(2) of a FUSE file system");
}

}  // namespace

bool in_first_user_namespace() {
  constexpr ino_t kFirst = 0xEFFFFFFD;  // linux/nsfs.h: USER_NS_INIT_INO
  struct stat st {};
  return ::stat("/proc/self/ns/user", &st) == 0 && st.st_ino == kFirst;
}

std::string why_no_mount(const std::function<bool()>& become) {
  return message_of(become, []() -> Result<void> {
    // A capability counts in the user namespace that the mount namespace belongs to: as it is now, not as a
    // new one would be.
    const UniqueFd context(::fsopen("fuse", FSOPEN_CLOEXEC));
    if (!context && errno == EPERM && !in_first_user_namespace())
      return fail(EPERM,
                  "this user namespace has no mount namespace of its own: `unshare --mount` as well "
                  "makes one, `dmabuffs exec` has one");
    if (::unshare(CLONE_NEWNS) != 0 || !set_propagation(MS_PRIVATE)) return {};
    return mount_fuse();
  });
}

std::string why_no_private_mount(const std::function<bool()>& become) {
  return message_of(become, []() -> Result<void> {
    TRY(enter_private_namespace());
    return mount_fuse();
  });
}

std::string why_no_setuid(const std::string& helper) {
  struct statvfs system {};
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
    return "set-user-ID programs have no effect for this process (no_new_privs)";
  if (::prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0)
    return "nobody here can have CAP_SYS_ADMIN, which mounting takes";
  if (::statvfs(helper.c_str(), &system) == 0 && (system.f_flag & ST_NOSUID) != 0)
    return helper + " lies on a file system that is mounted nosuid";
  return {};
}

std::string container_here() {
  struct stat root {};
  struct stat real {};
  const bool moved = ::stat("/", &root) == 0 && ::stat("/proc/1/root/.", &real) == 0 &&
                     (root.st_dev != real.st_dev || root.st_ino != real.st_ino);
  const auto table = read_mount_table();
  if (moved || (table && mounted_at(*table, "/") == nullptr)) return "chroot";
  if (::access("/.dockerenv", F_OK) == 0) return "docker";
  if (::access("/run/.containerenv", F_OK) == 0) return "podman";
  std::string name;
  std::ifstream("/run/systemd/container") >> name;
  return name;
}

}  // namespace dmabuffs::cli
