// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/files_locks.h"

#include <utility>

namespace dmabuffs {
namespace {

/// Open file description locks want l_pid 0.
Result<void> control(int fd, int command, struct flock& lock) {
  const pid_t asked_by = std::exchange(lock.l_pid, 0);
  const bool done = ::fcntl(fd, command, &lock) == 0;
  const int code = errno;
  if (command != F_OFD_GETLK) lock.l_pid = asked_by;
  if (!done) return fail_errno(code, "file lock");
  return {};
}

bool is_whole_file(const struct flock& lock) {
  return lock.l_whence == SEEK_SET && lock.l_start == 0 && lock.l_len == 0;
}

}  // namespace

FileLocks::Shared FileLocks::find(uint64_t owner) {
  const std::lock_guard guard(mutex_);
  const auto found = owners_.find(owner);
  return found == owners_.end() ? nullptr : found->second;
}

Result<FileLocks::Shared> FileLocks::find_or_open(uint64_t owner, const Opener& open) {
  if (auto known = find(owner)) return known;
  auto fd = open();
  if (!fd) return pass(std::move(fd));
  const std::lock_guard guard(mutex_);
  auto& mine = owners_[owner];
  if (!mine) mine = std::make_shared<const UniqueFd>(std::move(*fd));
  return mine;
}

Result<void> FileLocks::get(uint64_t owner, int fd, struct flock& lock) {
  // An owner without locks is asked for on any other description: all locks there are not his.
  const Shared mine = find(owner);
  return control(mine ? mine->get() : fd, F_OFD_GETLK, lock);
}

Result<void> FileLocks::set(uint64_t owner, const Opener& open, struct flock& lock, bool sleep) {
  if (lock.l_type == F_UNLCK && is_whole_file(lock)) {
    Shared dropped;  // closed after the mutex is free
    const std::lock_guard guard(mutex_);
    const auto found = owners_.find(owner);
    if (found == owners_.end()) return {};
    dropped = std::move(found->second);
    owners_.erase(found);
    // A thread of the owner that waits for a lock keeps the description: what it holds goes now all the same.
    return control(dropped->get(), F_OFD_SETLK, lock);
  }
  if (lock.l_type == F_UNLCK && !find(owner)) return {};
  auto mine = find_or_open(owner, open);
  if (!mine) return pass(std::move(mine));
  return control((*mine)->get(), sleep ? F_OFD_SETLKW : F_OFD_SETLK, lock);
}

}  // namespace dmabuffs
