// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/mount/mountpoint.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>

#include "dmabuffs/base/account.h"
#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/base/read_file.h"
#include "dmabuffs/cli/mount/unmount.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/client.h"
#include "dmabuffs/control/way.h"

namespace dmabuffs::cli {

namespace {

/// Takes away a mount whose daemon is gone.
void recover_stale(const std::string& mountpoint) {
  if (::umount2(mountpoint.c_str(), MNT_DETACH) != 0) (void)unmount_as_user(mountpoint, /*lazy=*/true);
}

Failure in_use(const MountEntry& mount) {
  const bool ours = ::geteuid() == 0 || ::geteuid() == mount.owner;
  return fail(EBUSY,
              mount.path + ": a dmabuffs mount" + (ours ? "" : " of " + user_name(mount.owner)) +
                  " is there already; " +
                  (ours ? "`dmabuffs umount " + mount.path + "` ends it" : "choose another directory"));
}

/// A directory of buffers can be removed at any time, and its heap may go, with whatever is mounted there.
Result<void> check_outside_heaps(const std::string& path, dev_t device) {
  const auto mounts = dmabuffs_mounts();
  if (!mounts) return {};
  for (const MountEntry& mount : *mounts) {
    if (mount.device != device || !(path + "/").starts_with(mount.path + "/")) continue;
    const std::string inside = (mount.root == "/" ? "" : mount.root) + path.substr(mount.path.size()) + "/";
    if (inside.starts_with("/heaps/"))
      return fail(EINVAL,
                  path + ": lies in heaps/ of the dmabuffs mount at " + mount.path +
                      ", whose directories come and go with its buffers; choose a directory outside of it");
  }
  return {};
}

/// What fusermount3 asks of the mount point of an ordinary user; empty: it is content.
std::string why_not_his(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return {};
  const std::string whose = "it belongs to " + user_name(st.st_uid);
  const std::string remedy = "; make a directory of your own (mkdir) and mount on that";
  if ((st.st_mode & S_ISVTX) != 0 && st.st_uid != ::geteuid())
    return whose + " and has the sticky bit, so only that user may mount on it" + remedy;
  if (::access(path.c_str(), W_OK) != 0)
    return whose + " and you may not write to it, which mounting asks for" + remedy;
  return {};
}

/// Somebody else's lock on the directory, which he may hold for good, delays the mount but does not prevent
/// it.
UniqueFd lock_directory(const std::string& path) {
  using namespace std::chrono_literals;
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto give_up = std::chrono::steady_clock::now() + 5s;
  while (directory && ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() > give_up) return {};
    std::this_thread::sleep_for(10ms);
  }
  return directory;
}

/// What a dmabuffs mount at `path` means for a new one: nothing, if its daemon is dead. `recover`: take that
/// away.
Result<void> check_free(const std::string& path, bool recover) {
  for (int attempt = 0;; ++attempt) {
    const auto table = read_mount_table();
    const MountEntry* there = table ? mounted_at(*table, path) : nullptr;
    if (there == nullptr || there->type != "fuse.dmabuffs") return {};
    // Forced: for a second after its daemon died the kernel answers from what it remembers.
    struct statx found {};
    const bool answers = ::statx(AT_FDCWD, path.c_str(), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &found) == 0;
    // auto_unmount took the dead mount away meanwhile, and what was below it answered.
    if (answers && makedev(found.stx_dev_major, found.stx_dev_minor) != there->device && attempt < 100)
      continue;
    if (answers || !is_of_dead_daemon(errno)) return in_use(*there);
    if (recover) recover_stale(path);
    return {};
  }
}

Result<void> check_directory(const std::string& path) {
  for (const char* needed : {"/", "/proc", "/sys", "/dev"})
    if (path == needed)
      return fail(EINVAL, path +
                              ": the system, and this very daemon, needs what is there; make a directory "
                              "of your own (mkdir) and mount on that");
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0)
    return fail(errno,
                path + ": " + std::strerror(errno) + (errno == ENOENT ? "; make it with mkdir -p" : ""));
  if (!S_ISDIR(st.st_mode)) return fail(ENOTDIR, path + ": is not a directory");
  return check_outside_heaps(path, st.st_dev);
}

}  // namespace

Result<Mountpoint> prepare_mountpoint(const std::string& given) {
  if (given.starts_with("/dev/fd/"))
    return Mountpoint{given, {}};  // mount.fuse3's drop_privileges: opened for us
  TRY(check_answers(given));
  auto path = TRY(resolve_mountpoint(given));
  TRY(check_free(path, /*recover=*/true));
  struct stat st {};
  // The kernel and fusermount3 don't agree on what a link at the end means.
  if (::lstat(path.c_str(), &st) == 0 && S_ISLNK(st.st_mode)) {
    std::error_code problem;
    const std::string target = std::filesystem::canonical(path, problem);
    if (problem) return fail(problem.value(), path + ": " + problem.message());
    return prepare_mountpoint(target);
  }
  TRY(check_directory(path));
  Mountpoint found{path, lock_directory(path)};
  TRY(check_free(path, /*recover=*/false));
  return found;
}

std::string why_not_mounted(const MountSettings& settings) {
  constexpr const char* kRemedy = "`dmabuffs doctor` says what is missing";
  if (::access("/dev/fuse", R_OK | W_OK) != 0)
    return std::string("/dev/fuse: ") + std::strerror(errno) + "; " + kRemedy;
  if (::geteuid() != 0 && !settings.private_mount) {
    if (std::string why = why_not_his(settings.mountpoint); !why.empty()) return why;
    if ((settings.allow_other || settings.allow_root) &&
        !lets_users_allow_other(read_file("/etc/fuse.conf").value_or("")))
      return std::string("-o ") + (settings.allow_root ? "allow_root" : "allow_other") +
             " is for ordinary users only where root has put the line user_allow_other into /etc/fuse.conf";
  }
  return kRemedy;
}

bool lets_users_allow_other(const std::string& fuse_conf) {
  std::istringstream lines(fuse_conf);
  for (std::string line, word, more; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    if (words >> word && word == "user_allow_other" && !(words >> more)) return true;
  }
  return false;
}

}  // namespace dmabuffs::cli
