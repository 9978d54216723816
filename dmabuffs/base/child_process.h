// SPDX-License-Identifier: MIT
/// A child process that can be polled for, and does not outlive its parent.
#pragma once
#include <sys/types.h>

#include <functional>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

class ChildProcess {
 public:
  /// Forks; `body` runs in the child and its result is the exit status (it usually ends in execve). The child
  /// gets `death_signal` when the parent dies, however that happens. The caller must be single-threaded.
  static Result<ChildProcess> start(int death_signal, const std::function<int()>& body);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Readable (poll) when the child has ended.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  void signal(int number) const;
  /// Waits until it has ended, at most `milliseconds` (-1: no limit).
  [[nodiscard]] bool ended_within(int milliseconds) const;
  /// Waits for its end and returns the status of waitpid(2): of exit(1) where the kernel keeps none, since
  /// this process ignores SIGCHLD. Call once.
  int reap();

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

/// What a shell makes of a status of waitpid(2): the exit status, or 128 + signal.
int shell_status(int wait_status);

}  // namespace dmabuffs
