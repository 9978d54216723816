// SPDX-License-Identifier: MIT
/// Copies a piece between two ends: leases the memory, has the planner pick the paths, runs them, commits.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/transfer/copy.h"

namespace dmabuffs {

class Engine {
 public:
  struct Options {
    unsigned threads = 0;  ///< that work on one copy, its caller included; 0: the machine's cores, at most 4
    uint64_t bounce_bytes = 16u << 20;  ///< bounce memory of the whole daemon
  };
  explicit Engine(Options options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Blocks until the piece is done; call it on a thread that may block, and with SIGXFSZ ignored (a file
  /// size limit then is EFBIG). Counts into counters(). A cancelled piece ends with EINTR and the bytes done
  /// so far; the memory for the rest stays with the buffer if there are any.
  Outcome copy(const Copy& piece);
  /// Whether copy() will move `piece` in one go, however long: the whole source of an empty buffer whose heap
  /// can read it as it allocates, if it may be expected not to take long.
  [[nodiscard]] bool loads_at_once(const Copy& piece) const;
  /// Why copy() would refuse `piece`, were a direct transfer required, before anything is moved; empty when
  /// it would not.
  [[nodiscard]] std::string not_direct(const Copy& piece) const;
  Counters& counters();
  [[nodiscard]] const KernelModule& kernel_module() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dmabuffs
