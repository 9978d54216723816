// SPDX-License-Identifier: MIT
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace dmabuffs {

/// What was last learned about file systems, by st_dev: of a bounded number, since anyone can make one, and
/// not for ever, since a number may become another's. Not thread-safe.
template <class What>
class ByDevice {
 public:
  static constexpr size_t kMost = 64;
  /// `lasts`: how long what was learned is believed.
  explicit ByDevice(std::chrono::milliseconds lasts) : lasts_(lasts) {}

  [[nodiscard]] std::optional<What> find(uint64_t device) const {
    for (const Learned& learned : learned_)
      if (learned.device == device && Clock::now() - learned.since < lasts_) return learned.what;
    return std::nullopt;
  }
  /// In place of what was known; what was learned longest ago makes room.
  void learn(uint64_t device, What what) {
    std::erase_if(learned_, [&](const Learned& old) { return old.device == device; });
    if (learned_.size() == kMost) learned_.pop_front();
    learned_.push_back({device, Clock::now(), what});
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Learned {
    uint64_t device;
    Clock::time_point since;
    What what;
  };
  const std::chrono::milliseconds lasts_;
  std::deque<Learned> learned_;  // oldest first
};

}  // namespace dmabuffs
