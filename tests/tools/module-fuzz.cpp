// SPDX-License-Identifier: MIT
/// Random ioctls on /dev/dmabuf_file, as such and as commands of io_uring: arguments that are nearly right,
/// so that a good part of them reaches I/O. Several processes make them, on files and buffers that they share
/// and on some of their own; beside that files are cut, frozen and dropped from the page cache, signals
/// arrive, processes are killed and, where the kernel can do that, its allocations fail. Ends with a
/// histogram of what the ioctls returned; whether the kernel minded is for the caller to see
/// (tests/kernel/fuzz).
///   module-fuzz COUNT SEED PROCESSES DIRECTORY [DEVICE]...     DEVICE: a disk that may be overwritten
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "module_fuzzer.h"

namespace {

using fuzz::Fuzzer;
using fuzz::Tally;

pid_t start(Fuzzer& fuzzer, unsigned seed, unsigned long count) {
  const pid_t process = ::fork();
  if (process != 0) return process;
  struct sigaction action {};
  action.sa_handler = [](int) {};  // without SA_RESTART
  (void)::sigaction(SIGALRM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);
  fuzzer.run(seed, count);
  ::_exit(0);
}

/// Lets processes fuzz, kills one every now and then and puts another in its place. False if one ended badly
/// or none got on.
bool supervise(Fuzzer& fuzzer, const Tally& tally, unsigned seed, unsigned long count, size_t processes) {
  using Clock = std::chrono::steady_clock;
  std::mt19937 random(seed);
  std::vector<pid_t> running(processes);
  for (pid_t& process : running) process = start(fuzzer, static_cast<unsigned>(random()), count);
  unsigned long seen = 0;
  auto progress = Clock::now(), next_kill = progress;
  while (tally.ioctls < count) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    int status = 0;
    if (::waitpid(-1, &status, WNOHANG) > 0 && status != 0) {
      std::printf("a process ended with status %#x\n", static_cast<unsigned>(status));
      return false;
    }
    const auto now = Clock::now();
    if (std::exchange(seen, tally.ioctls.load()) != tally.ioctls) progress = now;
    if (now - progress > std::chrono::minutes(3)) {
      std::printf("nothing got on for three minutes\n");
      return false;
    }
    if (now < next_kill) continue;
    pid_t& victim = running[random() % processes];
    ::kill(victim, SIGKILL);
    while (::waitpid(victim, nullptr, WNOHANG) == 0) {
      fuzzer.thaw();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    fuzzer.thaw();
    victim = start(fuzzer, static_cast<unsigned>(random()), count);
    next_kill = Clock::now() + std::chrono::milliseconds(2000 + random() % 8000);
  }
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: module-fuzz COUNT SEED PROCESSES DIRECTORY [DEVICE]...\n");
    return 2;
  }
  void* shared = ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  Tally& tally = *new (shared) Tally{};
  const auto seed = static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10));
  Fuzzer fuzzer(tally, seed, std::span(argv, static_cast<size_t>(argc)).subspan(4));
  if (!fuzzer.ready()) {
    std::perror("module-fuzz");
    return 1;
  }
  const bool good =
      supervise(fuzzer, tally, seed, std::strtoul(argv[1], nullptr, 10), std::strtoul(argv[3], nullptr, 10));
  tally.print();
  return good ? 0 : 1;
}
