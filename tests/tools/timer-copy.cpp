// SPDX-License-Identifier: MIT
/// Copies a file by copy_file_range(2) under an interval timer, as profilers and some runtimes set one.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

int trouble(const std::string& message) {
  std::fprintf(stderr, "timer-copy: %s\n", message.c_str());
  return 2;
}

bool start_timer(suseconds_t microseconds) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  const itimerval timer{{0, microseconds}, {0, microseconds}};
  return ::sigaction(SIGALRM, &action, nullptr) == 0 && ::setitimer(ITIMER_REAL, &timer, nullptr) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return trouble("usage: timer-copy SOURCE DESTINATION MICROSECONDS");
  const int from = ::open(argv[1], O_RDONLY | O_CLOEXEC);
  const int to = ::open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  struct stat st {};
  if (from < 0 || to < 0 || ::fstat(from, &st) != 0) return trouble(std::strerror(errno));
  if (!start_timer(std::atol(argv[3]))) return trouble(std::strerror(errno));
  unsigned calls = 0, interrupted = 0;
  off_t done = 0;
  while (done < st.st_size) {
    const ssize_t copied =
        ::copy_file_range(from, nullptr, to, nullptr, static_cast<size_t>(st.st_size - done), 0);
    ++calls;
    if (copied < 0 && errno != EINTR) return trouble(std::strerror(errno));
    if (copied == 0) return trouble("the source ended early");
    if (copied < 0) ++interrupted;
    done += copied > 0 ? copied : 0;
  }
  while (::close(to) != 0)
    if (errno != EINTR) return trouble(std::strerror(errno));
  std::printf("%u calls, %u interrupted with nothing stored\n", calls, interrupted);
}
