// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/cp/interrupt.h"

#include <sys/signalfd.h>

namespace dmabuffs::cli {

Interrupt::Interrupt() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction now {};
    // A blocked signal is delivered even if it is ignored; nohup and shells with background jobs rely on
    // "ignored".
    if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler != SIG_IGN) ::sigaddset(&set, number);
  }
  ::sigprocmask(SIG_BLOCK, &set, &before_);
  fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

Interrupt::~Interrupt() {
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

int Interrupt::take() {
  signalfd_siginfo info{};
  if (!fd_ || ::read(fd_.get(), &info, sizeof info) != sizeof info) return 0;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace dmabuffs::cli
