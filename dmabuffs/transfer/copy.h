// SPDX-License-Identifier: MIT
/// A copy, and what came of it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dmabuffs/base/cancel.h"
#include "dmabuffs/transfer/counters.h"
#include "dmabuffs/transfer/crew.h"
#include "dmabuffs/transfer/end.h"

namespace dmabuffs {

/// No piece of a copy is longer.
inline constexpr uint64_t kLargestPiece = uint64_t{256} << 20;

/// A copy, or a piece of one: a Transfer cuts it into pieces.
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

/// Bytes [0, bytes) of what was asked for are stored, whatever `error` says; fewer than asked without error:
/// the source ended.
struct Outcome {
  uint64_t bytes = 0;
  std::optional<Error> error;
  PathBytes paths{};
  std::vector<Reason> reasons;  ///< of the first kMostReasons kinds

  static constexpr size_t kMostReasons = 16;
  void add(const Moved& moved, Path path, const std::string& why = {});
  /// What came of the piece that follows.
  void add(const Outcome& next);
};

inline Outcome failure(Error error) {
  return {0, std::move(error), {}, {}};
}

}  // namespace dmabuffs
