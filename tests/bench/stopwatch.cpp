// SPDX-License-Identifier: MIT
/// stopwatch COMMAND...: runs it and prints the milliseconds from before its process is made until it has
/// ended. The command's own output goes to stderr. Exit status: the command's.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: stopwatch COMMAND...\n", stderr);
    return 2;
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t child = 0;
  const auto start = std::chrono::steady_clock::now();
  if (const int code = ::posix_spawnp(&child, argv[1], &actions, nullptr, argv + 1, environ); code != 0) {
    std::fprintf(stderr, "stopwatch: %s: %s\n", argv[1], std::strerror(code));
    return 127;
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return 1;
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  std::printf("%.1f\n", took.count());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
