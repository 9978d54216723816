// SPDX-License-Identifier: MIT
#include "dmabuffs/base/child_process.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "dmabuffs/base/io.h"

namespace dmabuffs {

namespace {

constexpr int kUnknownEnd = 1 << 8;  // as if by exit(1): nobody may take it for success

}  // namespace

Result<ChildProcess> ChildProcess::start(int death_signal, const std::function<int()>& body) {
  const pid_t parent = ::getpid();
  ChildProcess child;
  child.pid_ = ::fork();
  if (child.pid_ < 0) return fail_errno(errno, "fork");
  if (child.pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, death_signal);
    if (::getppid() != parent) ::_exit(1);  // it died before the line above
    ::_exit(body());
  }
  // By number: glibc has the wrappers since 2.36 only.
  child.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, child.pid_, 0)));
  if (!child.pidfd_) {
    const int code = errno;
    ::kill(child.pid_, SIGKILL);
    ::waitpid(child.pid_, nullptr, 0);
    return fail_errno(code, "pidfd_open");
  }
  return child;
}

void ChildProcess::signal(int number) const {
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

bool ChildProcess::ended_within(int milliseconds) const {
  pollfd wait{pidfd_.get(), POLLIN, 0};
  return again([&] { return ::poll(&wait, 1, milliseconds); }) > 0;
}

int ChildProcess::reap() {
  int status = 0;
  const bool known = again([&] { return ::waitpid(pid_, &status, 0); }) == pid_;
  return known ? status : kUnknownEnd;
}

int shell_status(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace dmabuffs
