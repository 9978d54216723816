// SPDX-License-Identifier: MIT
#include "dmabuffs/base/patience.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <future>
#include <memory>
#include <system_error>
#include <thread>

#include "dmabuffs/base/blocked_signals.h"
#include "dmabuffs/base/unique_fd.h"

// clone(2) by the name that the thread sanitizer does not take for fork(2).
extern "C" int __clone(int (*)(void*), void*, int, void*, ...);  // NOLINT(bugprone-reserved-identifier)

namespace dmabuffs {

namespace {

/// A thread that can't be killed would keep its process from ending, and a descriptor that it has, whoever
/// reads from its other end. So it is a process; in the caller's memory, which may be large, and no child
/// that the caller's waitpid(2) or SIGCHLD knows of, since he may be a user of libdmabuffs.
struct Question {
  std::function<void()> ask;
  int fd;
  int pidfd = -1;  // written by the kernel
  std::promise<void> ended{};
  alignas(16) std::array<char, 128 << 10> stack{};

  ~Question() {
    if (pidfd >= 0) ::close(pidfd);
  }
};

int in_child(void* given) {
  const auto& question = *static_cast<Question*>(given);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  close_all_but(question.fd);
  question.ask();
  return 0;
}

/// Its thread waits for the child, so that one at a time has the thread's errno; it can be killed.
void ask(Question& question) {
  const pid_t child = ::__clone(in_child, question.stack.data() + question.stack.size(),
                                CLONE_VM | CLONE_VFORK | CLONE_PIDFD, &question, &question.pidfd);
  if (child > 0) ::waitpid(child, nullptr, __WCLONE);
  question.ended.set_value();
}

}  // namespace

bool ends_within(std::chrono::milliseconds limit, int fd, std::function<void()> question) try {
  const auto asked = std::shared_ptr<Question>(new Question{std::move(question), fd});
  const auto end = asked->ended.get_future();
  const AllSignalsBlocked blocked;
  std::thread asking([asked] { ask(*asked); });
  const bool in_time = end.wait_for(limit) == std::future_status::ready;
  in_time ? asking.join() : asking.detach();
  if (!in_time && asked->pidfd >= 0) ::syscall(SYS_pidfd_send_signal, asked->pidfd, SIGKILL, nullptr, 0);
  return in_time;
} catch (const std::system_error&) {
  return true;
}

}  // namespace dmabuffs
