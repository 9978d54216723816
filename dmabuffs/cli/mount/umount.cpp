// SPDX-License-Identifier: MIT
/// `dmabuffs umount`: takes a mount away and waits for its daemon, so that the next command can rely on it.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "dmabuffs/base/account.h"
#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/base/patience.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/mount/holders.h"
#include "dmabuffs/cli/mount/unmount.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/client.h"
#include "dmabuffs/control/daemon.h"
#include "dmabuffs/control/way.h"

namespace dmabuffs::cli {
namespace {

constexpr int kDaemonPatience = 10'000;                       // milliseconds for the daemon to end
constexpr std::chrono::milliseconds kHangingPatience{1'000};  // for one that did not answer before
constexpr size_t kHoldersShown = 5;

/// What a symbolic link leads to, which is not asked for anything: it may be a mount that hangs.
Result<std::string> target_of(const std::string& link) {
  const UniqueFd target(::open(link.c_str(), O_PATH | O_CLOEXEC));
  if (!target) return fail_errno(errno, link);
  std::error_code failed;
  const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(target.get()), failed);
  if (failed) return fail(failed.value(), link + ": " + failed.message());
  return path.string();
}

/// The dmabuffs mount at `path`, however it is spelled.
Result<MountEntry> find_mount(const std::string& path) {
  // The mounts that lead there have to answer, but not that one.
  const std::string parent =
      std::filesystem::path(path.substr(0, path.find_last_not_of('/') + 1)).parent_path();
  if (!parent.empty()) TRY(check_answers(parent));
  auto table = TRY(read_mount_table());
  auto resolved = TRY(resolve_mountpoint(path));
  const MountEntry* found = mounted_at(table, resolved);
  if (found == nullptr) {  // perhaps a symbolic link to the mount point
    found = mounted_at(table, TRY(target_of(path)));
  }
  if (found == nullptr) {
    for (const MountEntry& entry : table)
      if (entry.type == "fuse.dmabuffs" && resolved.starts_with(entry.path + "/"))
        return fail(EINVAL, path + ": not a mount point but in the mount at " + entry.path);
    return fail(EINVAL, path + ": nothing is mounted there");
  }
  if (found->type != "fuse.dmabuffs")
    return fail(EINVAL, path + ": a mount of type " + found->type + ", not of dmabuffs; use umount(8)");
  return *found;
}

Result<void> unmount(const MountEntry& mount, bool lazy) {
  if (::umount2(mount.path.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return {};
  if (errno != EPERM) return fail_errno(errno, mount.path);
  if (mount.owner == ::geteuid()) return unmount_as_user(mount.path, lazy);
  const std::string owner = user_name(mount.owner);
  return fail(EPERM, mount.path + ": mounted by " + owner + "; only " + owner +
                         (mount.owner == 0 ? "" : " and root") + " may unmount it");
}

enum class State { Answers, Silent, Dead };

/// Of the mount's daemon. Asks the mount.
State state_of(const std::string& path) {
  const auto dead = std::make_shared<bool>();
  const auto ask = [path, dead] {
    struct statfs ignored {};
    *dead = ::statfs(path.c_str(), &ignored) != 0 && is_of_dead_daemon(errno);
  };
  if (!ends_within(kHangingPatience, ask)) return State::Silent;
  return *dead ? State::Dead : State::Answers;
}

/// Who called this is within, as a shell may be.
bool is_caller_within(const Holder& holder) {
  return holder.pid == ::getppid() && holder.how == "working directory";
}

/// "17 bash (working directory)".
std::string description(const Holder& holder) {
  return std::to_string(holder.pid) + " " + holder.command + " (" +
         (is_caller_within(holder) ? "the caller's " : "") + holder.how + ")";
}

/// A mount on a directory of this one.
std::optional<MountEntry> mount_inside(const MountEntry& mount) {
  const auto table = read_mount_table();
  if (!table) return std::nullopt;
  const auto found = std::find_if(table->begin(), table->end(),
                                  [&mount](const MountEntry& entry) { return entry.parent == mount.id; });
  return found == table->end() ? std::nullopt : std::optional(*found);
}

Error busy(const MountEntry& mount, const MountDaemon& daemon, State state) {
  if (const auto inside = mount_inside(mount))
    return {EBUSY, mount.path + ": busy; a mount of type " + inside->type + " lies inside, at " +
                       inside->path + ": umount that first"};
  std::vector<Holder> holders = find_holders(mount.device, kHoldersShown + 1);
  // What we have open came from who called us, and is listed there.
  const auto self = [](const Holder& holder) { return holder.pid == ::getpid(); };
  const bool alone = holders.size() == 1 && self(holders.front());
  holders.erase(std::remove_if(holders.begin(), holders.end(), self), holders.end());
  std::string users;
  // Who waits for it inside open(2) holds the mount without a trace in /proc.
  if (holders.empty() && (state == State::Silent || !daemon.answers()))
    users = "who waits for it: " + silence_of(daemon.pid());
  else if (holders.empty())
    users = alone              ? "this command's own input or output"
            : ::geteuid() == 0 ? "a process that waits for its daemon's answer, or can't be seen from here"
                               : "a process that only root can see";
  for (size_t i = 0; i < std::min(holders.size(), kHoldersShown); ++i)
    users += (i == 0 ? "" : ", ") + description(holders[i]);
  if (holders.size() > kHoldersShown) users += " and more";
  const char* remedy = !std::ranges::any_of(holders, is_caller_within) ? "end that"
                       : holders.size() == 1                           ? "cd out of the mount"
                                             : "cd out of the mount and end the others";
  return {EBUSY, mount.path + ": busy; in use by " + users + "; " + remedy +
                     ", or detach it now, and it ends with its last user: dmabuffs umount --lazy " +
                     mount.path};
}

/// Whether the same file system is still mounted somewhere else (a bind mount): then its daemon stays.
bool is_still_mounted(dev_t device) {
  const auto table = read_mount_table();
  return table && std::any_of(table->begin(), table->end(),
                              [device](const MountEntry& entry) { return entry.device == device; });
}

Result<void> take_away(const MountEntry& mount, bool lazy) {
  const MountDaemon daemon(mount);
  auto done = unmount(mount, lazy);
  if (!done && done.error().code == EBUSY) {
    const State state = state_of(mount.path);
    if (state != State::Dead) return Failure(busy(mount, daemon, state));
    lazy = true;
    done = unmount(mount, lazy);
  }
  if (!done) return done;
  if (!daemon.answers() && !daemon.ended_within(kHangingPatience.count())) {
    report("umount: " + mount.path + ": unmounted, but " + silence_of(daemon.pid()));
    return {};
  }
  const bool in_use = lazy && !find_holders(mount.device, 1).empty();
  if (in_use || is_still_mounted(mount.device) || daemon.ended_within(kDaemonPatience)) return {};
  report("umount: " + mount.path + ": unmounted, but its daemon (process " + std::to_string(daemon.pid()) +
         ") is still running; another mount namespace may hold it");
  return {};
}

}  // namespace

int run_umount(const std::vector<std::string>& paths, bool lazy) {
  int status = 0;
  const auto failed = [&status](const Error& error) { status = report("umount: " + error.message); };
  std::vector<MountEntry> mounts;
  for (const std::string& path : paths) {
    auto mount = find_mount(path);
    const auto is_it = [&mount](const MountEntry& other) { return other.id == mount->id; };
    if (!mount)
      failed(mount.error());
    else if (std::ranges::none_of(mounts, is_it))
      mounts.push_back(std::move(*mount));
  }
  // `umount .`: we must not be what keeps it busy.
  (void)!::chdir("/");
  for (const MountEntry& mount : mounts)
    if (const auto done = take_away(mount, lazy); !done) failed(done.error());
  return status;
}

}  // namespace dmabuffs::cli
