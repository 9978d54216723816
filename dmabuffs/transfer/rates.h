// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <mutex>

#include "dmabuffs/transfer/by_device.h"

namespace dmabuffs {

/// How fast buffers were loaded from the file systems, by st_dev. Thread-safe.
class Rates {
 public:
  /// The last load counts: a disk may be busy now and idle later.
  void note(uint64_t device, uint64_t bytes, double seconds) {
    constexpr uint64_t kTooShort = uint64_t{1} << 20;  // to say anything
    if (bytes < kTooShort || seconds <= 0) return;
    const std::lock_guard lock(mutex_);
    rates_.learn(device, static_cast<double>(bytes) / seconds);
  }
  /// Whether `bytes` may be expected to come within a second or two; so they are of a file system not heard
  /// of.
  [[nodiscard]] bool soon(uint64_t device, uint64_t bytes) const {
    constexpr double kSeconds = 2;
    const std::lock_guard lock(mutex_);
    const auto known = rates_.find(device);
    return !known || static_cast<double>(bytes) <= kSeconds * *known;
  }

 private:
  mutable std::mutex mutex_;
  ByDevice<double> rates_{std::chrono::hours(1)};  // bytes per second
};

}  // namespace dmabuffs
