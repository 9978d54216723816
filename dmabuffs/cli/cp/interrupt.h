// SPDX-License-Identifier: MIT
/// Ctrl-C and its like while a copy runs: read from a descriptor, so that what runs can be ended in order.
#pragma once
#include <csignal>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs::cli {

/// While it lives SIGINT, SIGTERM and SIGHUP are blocked and readable at fd(). Lives for one transfer only:
/// what else may block (opening a FIFO) is to be ended the usual way.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// -1 when there is none (no descriptors left): signals then stay pending until the transfer has ended.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Takes a signal that came: its number, 0 without.
  [[nodiscard]] int take();

 private:
  UniqueFd fd_;
  sigset_t before_{};
};

}  // namespace dmabuffs::cli
