// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>

namespace dmabuffs {

/// Set by whoever wants a long operation to end early; the operation looks between its pieces.
class CancelToken {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace dmabuffs
