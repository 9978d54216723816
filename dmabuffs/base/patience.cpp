// SPDX-License-Identifier: MIT
#include "dmabuffs/base/patience.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
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

/// In the caller's memory, which may be large, and with his descriptors: copies would be closed when it ends,
/// and to close a file of a FUSE mount is a request, too. No child that the caller's waitpid(2) or SIGCHLD
/// knows of, since he may be a user of libdmabuffs.
constexpr int kHisOwn = CLONE_VM | CLONE_FILES;
constexpr size_t kStack = 64 << 10;

/// A thread that can't be killed would keep its process from ending. So who asks is a process.
struct Question {
  std::function<void()> ask;
  pollfd caller{static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)), POLLIN, 0};
  int pidfd = -1;  // of who asks; written by the kernel
  std::promise<void> ended{};
  alignas(16) std::array<char, kStack> stack{}, watch_stack{};

  ~Question() {
    for (const int fd : {caller.fd, pidfd})
      if (fd >= 0) ::close(fd);
  }
};

int in_child(void* given) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  static_cast<Question*>(given)->ask();
  return 0;
}

/// Closes what somebody may wait for the end of: pipes, sockets and terminals. Their types are asked of the
/// kernel only. Takes no memory: who had its lock may be dead.
void close_ends() {
  const UniqueFd list(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  alignas(dirent64) std::array<char, 4096> entries{};
  ssize_t got = 0;
  while ((got = ::getdents64(list.get(), entries.data(), entries.size())) > 0) {
    const dirent64* entry = nullptr;
    for (ssize_t at = 0; at < got; at += entry->d_reclen) {
      entry = reinterpret_cast<const dirent64*>(entries.data() + at);
      if (entry->d_name[0] == '.') continue;
      const int fd = std::atoi(entry->d_name);
      struct statx found {};
      if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found) != 0) continue;
      if (S_ISFIFO(found.stx_mode) || S_ISSOCK(found.stx_mode) || S_ISCHR(found.stx_mode)) ::close(fd);
    }
  }
}

/// Whoever reads from the other end of what a dead caller had waits no longer because it still asks. Beside
/// the thread whose memory of its own (errno, what a sanitizer notes) it shares: so it makes bare system
/// calls only, until that is dead.
[[gnu::no_sanitize("thread", "address")]] int watch(void* given) {
  ::syscall(SYS_setpgid, 0, 0);  // what ends all of the caller's group does not end this
  auto& caller = static_cast<Question*>(given)->caller;
  if (::syscall(SYS_ppoll, &caller, 1, nullptr, nullptr, 0) == 1 && caller.revents == POLLIN) close_ends();
  return 0;
}

/// Its thread waits for both, and can be killed. That it can't run while one asks leaves errno to that.
void ask(Question& question) {
  const auto start = [&question](int (*what)(void*), std::array<char, kStack>& stack, int flags) {
    return ::__clone(what, stack.data() + stack.size(), kHisOwn | flags, &question, &question.pidfd);
  };
  const auto reap = [](pid_t child) {
    if (child > 0) ::waitpid(child, nullptr, __WCLONE);
  };
  const pid_t watching = question.caller.fd >= 0 ? start(watch, question.watch_stack, 0) : -1;
  reap(start(in_child, question.stack, CLONE_VFORK | CLONE_PIDFD));
  if (watching > 0) ::kill(watching, SIGKILL);
  reap(watching);
  question.ended.set_value();
}

}  // namespace

bool ends_within(std::chrono::milliseconds limit, std::function<void()> question) try {
  const auto asked = std::shared_ptr<Question>(new Question{std::move(question)});
  const auto end = asked->ended.get_future();
  auto blocked = std::make_optional<AllSignalsBlocked>();
  std::thread asking([asked] { ask(*asked); });
  blocked.reset();  // Ctrl-C ends the caller, not its patience
  const bool in_time = end.wait_for(limit) == std::future_status::ready;
  in_time ? asking.join() : asking.detach();
  if (!in_time && asked->pidfd >= 0) ::syscall(SYS_pidfd_send_signal, asked->pidfd, SIGKILL, nullptr, 0);
  return in_time;
} catch (const std::system_error&) {
  return true;
}

}  // namespace dmabuffs
