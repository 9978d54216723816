// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>

namespace dmabuffs {

/// Set by whoever wants a long operation to end early; the operation looks between its pieces.
class CancelToken {
 public:
  enum class Ends {
    AtOnce,
    /// Not before something is done that stays: who asks again and is cancelled each time, as a program with
    /// an interval timer does, would never get on.
    WithProgress,
  };
  explicit CancelToken(Ends ends = Ends::AtOnce) : ends_(ends) {}
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  /// `progress`: whether the operation has done something that stays.
  [[nodiscard]] bool cancelled(bool progress = true) const {
    return cancelled_.load(std::memory_order_relaxed) && (progress || ends_ == Ends::AtOnce);
  }

 private:
  const Ends ends_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace dmabuffs
