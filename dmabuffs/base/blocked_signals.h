// SPDX-License-Identifier: MIT
#pragma once
#include <csignal>

namespace dmabuffs {

/// For a thread that is started meanwhile: the process's signals belong to its main thread. But for SIGBUS,
/// which is of what a thread does itself (base/bus_faults.h).
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::sigdelset(&all, SIGBUS);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace dmabuffs
