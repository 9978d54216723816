// SPDX-License-Identifier: MIT
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>

#include "catch.h"
#include "dmabuffs/base/patience.h"
#include "dmabuffs/base/unique_fd.h"

using namespace dmabuffs;
using namespace std::chrono_literals;

namespace {

volatile std::sig_atomic_t child = 0;  // of the last SIGCHLD

}  // namespace

TEST_CASE("a question tells by what it owns, and is no child of the caller's") {
  struct Told {
    pid_t pid = 0;
    int error = 0;
  };
  const auto told = std::make_shared<Told>();
  struct sigaction note {
  }, before{};
  note.sa_flags = SA_SIGINFO;
  note.sa_sigaction = [](int, siginfo_t* about, void*) { child = about->si_pid; };
  ::sigaction(SIGCHLD, &note, &before);
  const auto before_it = ::dup(STDIN_FILENO);
  ::close(before_it);
  REQUIRE(ends_within(10s, [told] {
    told->pid = ::getpid();
    told->error = ::close(-1) < 0 ? errno : 0;
  }));
  CHECK(told->error == EBADF);
  const UniqueFd after_it(::dup(STDIN_FILENO));
  CHECK(after_it.get() == before_it);  // nothing is left open
  // A program that uses libdmabuffs is told of no child that is not its own.
  ::sigaction(SIGCHLD, &before, nullptr);
  CHECK(told->pid > 0);
  CHECK(told->pid != ::getpid());
  CHECK(::waitpid(told->pid, nullptr, WNOHANG | __WALL) < 0);
  CHECK(child != told->pid);
}

TEST_CASE("a question that does not end is left behind, and ended where the kernel can") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  CHECK_FALSE(ends_within(100ms, [fd = read_end.get()] {
    char byte = 0;
    (void)::syscall(SYS_read, fd, &byte, 1);  // the thread sanitizer takes read(2) for this process's
  }));
  read_end.reset();  // the last one, when the question has ended
  const auto broken = [&] { return ::write(write_end.get(), "", 1) < 0 && errno == EPIPE; };
  ::signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < 200 && !broken(); ++i) ::usleep(50'000);
  CHECK(broken());
  ::signal(SIGPIPE, SIG_DFL);
}
