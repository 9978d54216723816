// SPDX-License-Identifier: MIT
#pragma once
#include <fcntl.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// fcntl locks of one inode. Each owner (a process of the clients, as the kernel numbers it) has a
/// description of its own, on which its locks are taken as open file description locks: so owners exclude one
/// another, and processes of the host too. A process that opens the file twice is one owner, as POSIX wants.
/// Thread-safe.
class FileLocks {
 public:
  /// Makes a description of the inode to lock by.
  using Opener = std::function<Result<UniqueFd>()>;

  /// As F_GETLK; `fd` is open on the inode. l_pid is the holder's where it is a process of the host with a
  /// classic lock, else -1.
  Result<void> get(uint64_t owner, int fd, struct flock& lock);
  /// As F_SETLK, or F_SETLKW when `sleep`: it then blocks the thread and ends with EINTR when a signal
  /// handler without SA_RESTART runs on it. F_UNLCK of the whole file drops the owner. Deadlocks are not
  /// detected (no EDEADLK).
  Result<void> set(uint64_t owner, const Opener& open, struct flock& lock, bool sleep);

 private:
  using Shared = std::shared_ptr<const UniqueFd>;
  Shared find(uint64_t owner);
  Result<Shared> find_or_open(uint64_t owner, const Opener& open);

  std::mutex mutex_;
  std::map<uint64_t, Shared> owners_;
};

}  // namespace dmabuffs
