// SPDX-License-Identifier: MIT
#include <csignal>
#include <cstdio>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/format.h"

namespace dmabuffs::cli {

int die_by(int signal) {
  std::fflush(nullptr);
  std::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  std::raise(signal);
  return 128 + signal;
}

int report(const std::string& message) {
  std::fprintf(stderr, "dmabuffs: %s\n", escape_controls(message).c_str());
  return 1;
}

int misuse(const std::string& command, const std::string& message) {
  report(command + ": " + message);
  std::fprintf(stderr, "Try 'dmabuffs %s --help'.\n", command.c_str());
  return kUsageError;
}

}  // namespace dmabuffs::cli
