// SPDX-License-Identifier: MIT
#include "dmabuffs/base/patience.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <future>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>

#include "dmabuffs/base/blocked_signals.h"
#include "dmabuffs/base/unique_fd.h"

// clone(2) by the name that the thread sanitizer does not take for fork(2).
extern "C" int __clone(int (*)(void*), void*, int, void*, ...);  // NOLINT(bugprone-reserved-identifier)

namespace dmabuffs {

namespace {

constexpr size_t kStack = 64 << 10;
constexpr auto kUsual = std::chrono::milliseconds(100);  // an answer takes less

using Stack = std::array<char, kStack>;

/// A thread that can't be killed would keep its process from ending. So who asks is a process: in the
/// caller's memory, which may be large, and with his descriptors, since copies would be closed when it ends,
/// and to close a file of a FUSE mount is a request, too. No child that the caller's waitpid(2) or SIGCHLD
/// knows of, since he may be a user of libdmabuffs.
struct Question {
  std::function<void()> ask;
  int pidfd = -1;               // of who asks; written by the kernel
  std::atomic<pid_t> watch{0};  // who watches, if anybody; kOver: nobody is to any more
  std::promise<void> ended{};
  alignas(16) Stack stack{};
};

constexpr pid_t kOver = -1;

pid_t start(int (*what)(void*), Stack& stack, int flags, void* given, int* pidfd) {
  return ::__clone(what, stack.data() + stack.size(), flags, given, pidfd);
}

int in_child(void* given) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  static_cast<Question*>(given)->ask();
  return 0;
}

/// Closes what somebody may wait for the end of: pipes, sockets, terminals, and what has no name. Asks no
/// file system, and calls the kernel only: locks may be held by threads that this process has not.
void close_ends() {
  constexpr rlim_t kMost = 1 << 16;
  struct rlimit limit {};
  ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
  for (long fd = 0; fd < static_cast<long>(std::min(limit.rlim_cur, kMost)); ++fd) {
    struct statx found {};
    if (::syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found) != 0) continue;
    const bool known = (found.stx_mask & STATX_TYPE) != 0;  // a FUSE mount tells a stranger nothing
    const bool named = S_ISREG(found.stx_mode) || S_ISDIR(found.stx_mode) || S_ISLNK(found.stx_mode);
    if (known && !named) ::syscall(SYS_close, fd);
  }
}

/// A process of its own, but for the descriptors: whoever reads from the other end of what a dead caller had
/// waits no longer because his question still has them.
int watch(void* caller) {
  constexpr timespec kPause{0, 100'000'000};
  ::syscall(SYS_setpgid, 0, 0);  // what ends all of the caller's group does not end this
  while (::syscall(SYS_getppid) == *static_cast<const pid_t*>(caller))
    ::syscall(SYS_nanosleep, &kPause, nullptr);
  close_ends();
  return 0;
}

void end_watch(pid_t watch) {
  if (watch > 0 && ::kill(watch, SIGKILL) == 0) ::waitpid(watch, nullptr, __WCLONE);
}

void start_watch(Question& question) {
  const AllSignalsBlocked blocked;
  pid_t caller = ::getpid();
  const auto stack = std::make_unique<Stack>();
  const pid_t watching = start(watch, *stack, CLONE_FILES, &caller, nullptr);
  if (watching > 0 && question.watch.exchange(watching) == kOver) end_watch(watching);
}

/// In a thread that can be stopped and killed. It shares what is a thread's own (errno, what a sanitizer
/// notes) with who asks, so it does nothing but wait for that.
[[gnu::no_sanitize("thread", "address")]] void ask(Question& question) {
  const pid_t asking = ::__clone(in_child, question.stack.data() + kStack,
                                 CLONE_VM | CLONE_FILES | CLONE_PIDFD, &question, &question.pidfd);
  while (asking > 0 && ::syscall(SYS_wait4, asking, nullptr, __WCLONE, nullptr) < 0 && errno == EINTR)
    continue;
}

}  // namespace

bool ends_within(std::chrono::milliseconds limit, std::function<void()> question) try {
  const auto asked = std::shared_ptr<Question>(new Question{std::move(question)});
  const auto end = asked->ended.get_future();
  auto blocked = std::make_optional<AllSignalsBlocked>();
  std::thread asking([asked] {
    ask(*asked);
    end_watch(asked->watch.exchange(kOver));
    asked->ended.set_value();
  });
  blocked.reset();  // Ctrl-C ends the caller, not its patience
  bool in_time = end.wait_for(std::min(limit, kUsual)) == std::future_status::ready;
  if (!in_time) {
    start_watch(*asked);
    in_time = end.wait_for(limit - std::min(limit, kUsual)) == std::future_status::ready;
  }
  in_time ? asking.join() : asking.detach();
  const UniqueFd pidfd(asked->pidfd);
  if (!in_time && pidfd) ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  return in_time;
} catch (const std::system_error&) {
  return true;
}

}  // namespace dmabuffs
