// SPDX-License-Identifier: MIT
/// The one function that copies a range between two ends. The planner picks the path; the outcome says what
/// ran.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dmabuffs/base/cancel.h"
#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/transfer/counters.h"
#include "dmabuffs/transfer/end.h"

namespace dmabuffs {

/// One piece of a copy; the caller cuts a long copy into pieces (see PieceSize).
struct Copy {
  End from;
  uint64_t from_offset = 0;
  End to;
  uint64_t to_offset = 0;
  uint64_t length = 0;
  uint64_t expected_end = 0;    ///< a buffer destination's size when the caller's whole copy is done
  bool require_direct = false;  ///< fail (EIO) rather than move the aligned body bounce-direct or buffered
  const CancelToken* cancel = nullptr;
  /// Where expected_end is only a guess: what must be had at least, when memory up to there is refused. 0: no
  /// guess.
  uint64_t needed_end = 0;
};

/// Bytes [0, bytes) of the piece are stored, whatever `error` says; fewer than asked without error: the
/// source ended.
struct Outcome {
  uint64_t bytes = 0;
  std::optional<Error> error;
  PathBytes paths{};
  std::vector<Reason> reasons;
};

inline Outcome failure(Error error) {
  Outcome outcome;
  outcome.error = std::move(error);
  return outcome;
}

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
  Outcome copy(const Copy& copy);
  /// Whether copy() will move `copy` in one go, whatever PieceSize says: see may_load_at_once().
  [[nodiscard]] bool loads_at_once(const Copy& copy) const;
  Counters& counters();
  [[nodiscard]] const KernelModule& kernel_module() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How long the next piece may be so that it takes about a second: starts at 64 MiB, follows the rate, <= 256
/// MiB.
class PieceSize {
 public:
  static constexpr uint64_t kLargest = uint64_t{256} << 20;
  [[nodiscard]] uint64_t next() const { return bytes_; }
  void took(uint64_t bytes, double seconds);

 private:
  uint64_t bytes_ = 64u << 20;
};

}  // namespace dmabuffs
