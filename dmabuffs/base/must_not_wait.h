// SPDX-License-Identifier: MIT
#pragma once
#include <utility>

namespace dmabuffs {

/// Thrown by an operation, before it has changed or answered anything, to be run again from its start where
/// it may wait.
struct Elsewhere {};

/// Thrown by an operation, before it has changed or answered anything, to be run again from its start in a
/// while: others hold what it needs (a lease on a file, say), and no thread is to wait for them.
struct InAWhile {};

/// As long as it lives, its thread must not wait: one that takes requests, of which there are few for all
/// users. What would wait is refused at once there and says so by put_off(), so that it is asked again by a
/// thread that may. Not nested.
class MustNotWait {
 public:
  MustNotWait() { here_ = true, put_off_ = false; }
  ~MustNotWait() { here_ = false; }
  MustNotWait(const MustNotWait&) = delete;
  MustNotWait& operator=(const MustNotWait&) = delete;

  /// Whether the calling thread must not.
  static bool here() { return here_; }
  /// Something was refused that a wait might have got.
  static void put_off() { put_off_ = here_; }
  /// Whether that was so since the last call, on a thread that still must not wait.
  static bool was_put_off() { return here_ && std::exchange(put_off_, false); }

 private:
  static inline thread_local bool here_ = false, put_off_ = false;
};

}  // namespace dmabuffs
