// SPDX-License-Identifier: MIT
/// `dmabuffs umount`: takes a mount away and waits for its daemon, so that the next command can rely on it.
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/child_process.h"
#include "dmabuffs/cli/client.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/holders.h"
#include "dmabuffs/cli/mount_table.h"
#include "dmabuffs/fs/control_address.h"

namespace dmabuffs::cli {
namespace {

constexpr int kDaemonPatience = 10'000;  // milliseconds for the daemon to end
constexpr size_t kHoldersShown = 5;

/// The daemon of a mount: something to wait for.
class Daemon {
 public:
  /// Asks the control socket, not the mount: that may hang. Nothing to wait for when nobody answers.
  explicit Daemon(const std::string& mountpoint) {
    auto mounts = dmabuffs_mounts();
    if (!mounts) return;
    for (const MountPoint& mount : *mounts)
      if (mount.path == mountpoint)
        for (const std::string& directory : socket_directories(mount.owner)) {
          if (pidfd_) return;
          ask(directory + "/" + socket_name(mountpoint), mount.owner);
        }
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// True when it has ended (or was not known).
  [[nodiscard]] bool ended_within(int milliseconds) const {
    pollfd wait{pidfd_.get(), POLLIN, 0};
    return !pidfd_ || ::poll(&wait, 1, milliseconds) > 0;
  }

 private:
  /// The daemon itself listens, so the kernel names its process.
  void ask(const std::string& path, uid_t owner) {
    auto socket = connect_to(path);
    ucred peer{};
    socklen_t length = sizeof peer;
    if (!socket || ::getsockopt(socket->get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 ||
        peer.pid <= 0 || (peer.uid != owner && peer.uid != 0))
      return;
    pid_ = peer.pid;
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  }

  pid_t pid_ = 0;
  UniqueFd pidfd_;
};

/// The dmabuffs mount at `path`, however it is spelled.
Result<MountEntry> find_mount(const std::string& path) {
  auto table = read_mount_table();
  if (!table) return pass(std::move(table));
  auto resolved = resolve_mountpoint(path);
  if (!resolved) return pass(std::move(resolved));
  const MountEntry* found = mounted_at(*table, *resolved);
  if (found == nullptr) {  // perhaps a symbolic link to the mount point
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
    if (!real) return fail_errno(errno, path);
    found = mounted_at(*table, real.get());
  }
  if (found == nullptr) return fail(EINVAL, path + ": nothing is mounted there");
  if (found->type != "fuse.dmabuffs")
    return fail(EINVAL, path + ": a mount of type " + found->type + ", not of dmabuffs; use umount(8)");
  return *found;
}

/// Runs fusermount3, which may unmount for its user what the user mounted.
Result<void> fusermount(const std::string& path, bool lazy) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  auto child = ChildProcess::start(SIGTERM, [&] {
    ::setenv("LC_ALL", "C", 1);
    ::dup2(writer.get(), 2);
    ::execlp("fusermount3", "fusermount3", lazy ? "-uz" : "-u", "--", path.c_str(), nullptr);
    return 127;
  });
  writer.reset();
  if (!child) return pass(std::move(child));
  std::string said(1024, '\0');
  const ssize_t got = ::read(reader.get(), said.data(), said.size());
  said.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  const int status = shell_status(child->reap());
  if (status == 0) return {};
  if (status == 127) return fail(ENOENT, path + ": fusermount3 is missing; install it (package fuse3)");
  while (!said.empty() && said.back() == '\n') said.pop_back();
  return fail(said.find("busy") != std::string::npos ? EBUSY : EPERM, path + ": " + said);
}

Result<void> unmount(const std::string& path, bool lazy) {
  if (::umount2(path.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return {};
  if (errno == EPERM) return fusermount(path, lazy);
  return fail_errno(errno, path);
}

/// Whether the mount's daemon has died. Asks the mount, in a process that may be left hanging.
bool is_dead(const std::string& path) {
  auto child = ChildProcess::start(SIGKILL, [&] {
    struct statfs ignored {};
    return ::statfs(path.c_str(), &ignored) != 0 && errno == ENOTCONN ? 0 : 1;
  });
  if (!child) return false;
  if (child->ended_within(1000)) return shell_status(child->reap()) == 0;
  child->signal(SIGKILL);
  return false;
}

Error busy(const MountEntry& mount) {
  const std::vector<Holder> holders = find_holders(mount.device, kHoldersShown + 1);
  std::string users;
  for (size_t i = 0; i < std::min(holders.size(), kHoldersShown); ++i)
    users += (i == 0 ? "" : ", ") + std::to_string(holders[i].pid) + " " + holders[i].command + " (" +
             holders[i].how + ")";
  if (holders.size() > kHoldersShown) users += " and more";
  if (holders.empty()) users = "a process that only root can see, or another mount on top of it";
  return {EBUSY,
          mount.path + ": busy; in use by " + users +
              "; end that, or detach it now and let it end with its last user: dmabuffs umount --lazy " +
              mount.path};
}

/// Whether the same file system is still mounted somewhere else (a bind mount): then its daemon stays.
bool is_still_mounted(dev_t device) {
  const auto table = read_mount_table();
  return table && std::any_of(table->begin(), table->end(),
                              [device](const MountEntry& entry) { return entry.device == device; });
}

Result<void> take_away(const std::string& path, bool lazy) {
  auto mount = find_mount(path);
  if (!mount) return pass(std::move(mount));
  const Daemon daemon(mount->path);
  auto done = unmount(mount->path, lazy);
  if (!done && done.error().code == EBUSY) {
    if (!is_dead(mount->path)) return Failure(busy(*mount));
    lazy = true;
    done = unmount(mount->path, lazy);
  }
  if (!done) return done;
  const bool in_use = lazy && !find_holders(mount->device, 1).empty();
  if (in_use || is_still_mounted(mount->device) || daemon.ended_within(kDaemonPatience)) return {};
  report("umount: " + mount->path + ": unmounted, but its daemon (process " + std::to_string(daemon.pid()) +
         ") is still running; another mount namespace may hold it");
  return {};
}

}  // namespace

int run_umount(const std::string& path, bool lazy) {
  const auto done = take_away(path, lazy);
  return done ? 0 : report("umount: " + done.error().message);
}

}  // namespace dmabuffs::cli
