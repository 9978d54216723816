// SPDX-License-Identifier: MIT
#include "dmabuffs/control/way.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <filesystem>
#include <utility>
#include <vector>

#include "dmabuffs/base/patience.h"
#include "dmabuffs/control/client.h"
#include "dmabuffs/control/daemon.h"

namespace dmabuffs {

namespace {

constexpr auto kAnswerPatience = std::chrono::seconds(10);  // a daemon with much to do is slow, too
constexpr int kMostLinks = 40;                              // as in the kernel

UniqueFd open_step(int directory, const std::string& name) {
  return UniqueFd(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

/// The first name is cut off `rest`; empty: there is none left.
std::string next_name(std::string& rest) {
  const size_t start = std::min(rest.find_first_not_of('/'), rest.size());
  const size_t end = std::min(rest.find('/', start), rest.size());
  std::string name = rest.substr(start, end - start);
  rest.erase(0, end);
  return name;
}

std::string target_of(const UniqueFd& link) {
  std::string target(PATH_MAX, '\0');
  const ssize_t got = ::readlinkat(link.get(), "", target.data(), target.size());
  target.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return target;
}

}  // namespace

Result<void> follow(const std::string& path,
                    const std::function<Result<void>(const MountEntry&, const UniqueFd& at)>& enter) {
  const auto mounts = TRY(dmabuffs_mounts());
  std::string rest = path;
  UniqueFd at = open_step(AT_FDCWD, path.starts_with('/') ? "/" : "."), directory;
  dev_t entered = 0;
  for (int links = 0; at && links < kMostLinks;) {
    // The kernel knows the device. No attribute is wanted: FUSE gives none to who is not allowed there.
    struct statx found {};
    if (::statx(at.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found) != 0) return {};
    const dev_t device = makedev(found.stx_dev_major, found.stx_dev_minor);
    const MountEntry* mount =
        std::exchange(entered, device) != device ? mount_of_device(mounts, device) : nullptr;
    if (mount != nullptr) TRY(enter(*mount, at));
    if (S_ISLNK(found.stx_mode)) {
      ++links;
      const std::string target = target_of(at);
      if (target.empty()) return {};
      rest.insert(0, target);
      at = rest.starts_with('/') ? open_step(AT_FDCWD, "/") : std::move(directory);
    }
    directory = std::move(at);
    const std::string name = next_name(rest);
    if (name.empty()) return {};
    at = open_step(directory.get(), name);
  }
  return {};
}

bool lies_in_mount(const std::string& path) {
  bool lies = false;
  (void)follow(path, [&lies](const MountEntry& mount, const UniqueFd&) -> Result<void> {
    lies = true;
    return fail(EEXIST, mount.path);
  });
  return lies;
}

bool has_dead_daemon(const std::string& path) {
  bool dead = false;
  (void)follow(path, [&dead](const MountEntry& mount, const UniqueFd& at) -> Result<void> {
    struct statfs ignored {};
    dead = ::fstatfs(at.get(), &ignored) != 0 && is_of_dead_daemon(errno);
    return dead ? fail(ENOTCONN, mount.path) : Result<void>();
  });
  return dead;
}

std::string why_missing(const std::string& path, const std::string& otherwise) {
  namespace fs = std::filesystem;
  fs::path there = path.starts_with('/') ? path : "./" + path;  // as far as the way goes
  std::string name;                                             // what is missing there
  struct stat at {
  }, heaps{};
  while (::stat(there.c_str(), &at) != 0) {
    if (errno != ENOENT || !there.has_relative_path()) return otherwise;
    if (there.has_filename()) name = there.filename();
    there = there.parent_path();
  }
  std::error_code failed;
  const auto mounts = dmabuffs_mounts();
  const MountEntry* mount = mounts ? mount_of_device(*mounts, at.st_dev) : nullptr;
  if (mount == nullptr && name == "heaps" && fs::is_empty(there, failed))
    return "nothing is mounted on " + there.lexically_normal().string() + "; dmabuffs mount " +
           there.lexically_normal().string();
  if (mount == nullptr || name.empty() || ::stat((mount->path + "/heaps").c_str(), &heaps) != 0 ||
      heaps.st_ino != at.st_ino)
    return otherwise;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(there, failed), end; !failed && entry != end; entry.increment(failed))
    names.push_back(entry->path().filename());
  std::sort(names.begin(), names.end());
  std::string text = "there is no heap " + name + " here, and buffers live below heaps/HEAP/; there are";
  for (const std::string& each : names) text += (&each == &names.front() ? " " : ", ") + each;
  return text + "; `dmabuffs doctor` tells what others need";
}

Result<void> check_answers(const std::string& path) {
  return follow(path, [&path](const MountEntry& mount, const UniqueFd& at) -> Result<void> {
    // Forced: what the kernel remembers says nothing of the daemon.
    const auto ask = [fd = at.get()] {
      struct statx ignored {};
      (void)::statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &ignored);
    };
    if (ends_within(kAnswerPatience, ask)) return {};
    return fail(ETIMEDOUT, path + ": no answer; of the mount at " + mount.path + ": " +
                               silence_of(MountDaemon(mount).pid()));
  });
}

}  // namespace dmabuffs
