// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/syscall.h>
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

TEST_CASE("a question tells by what it owns, and has no descriptor but its own") {
  const UniqueFd its(::open("/dev/null", O_RDONLY)), another(::open("/dev/null", O_RDONLY));
  struct Told {
    pid_t pid = 0;
    bool its = false, another = true, out = true;
  };
  const auto told = std::make_shared<Told>();
  struct sigaction note {
  }, before{};
  note.sa_flags = SA_SIGINFO;
  note.sa_sigaction = [](int, siginfo_t* about, void*) { child = about->si_pid; };
  ::sigaction(SIGCHLD, &note, &before);
  REQUIRE(ends_within(10s, its.get(), [told, its = its.get(), another = another.get()] {
    told->pid = ::getpid();
    told->its = ::fcntl(its, F_GETFD) >= 0;
    told->another = ::fcntl(another, F_GETFD) >= 0;
    told->out = ::fcntl(STDOUT_FILENO, F_GETFD) >= 0;
  }));
  CHECK(told->its);
  CHECK_FALSE(told->another);
  CHECK_FALSE(told->out);
  CHECK(::fcntl(another.get(), F_GETFD) >= 0);
  // A program that uses libdmabuffs is told of no child that is not its own.
  ::sigaction(SIGCHLD, &before, nullptr);
  CHECK(told->pid > 0);
  CHECK(child != told->pid);
}

TEST_CASE("a question that does not end is left behind, and ended where the kernel can") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  CHECK_FALSE(ends_within(100ms, read_end.get(), [fd = read_end.get()] {
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
