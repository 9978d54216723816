// SPDX-License-Identifier: MIT
/// What an engine learns about file systems as it reads from them: whether their direct reads can be
/// believed, whether the page cache is faster than they are, and how fast loads from them were.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "dmabuffs/base/range.h"
#include "dmabuffs/transfer/file_part.h"

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

/// Some file systems take a direct read, report success and leave the memory as it was. So the first direct
/// read from each is held against reads through the page cache.
/// By st_dev. Thread-safe.
class DirectTrust {
 public:
  /// `lasts`: after which a file system is asked again, whatever came of it.
  explicit DirectTrust(std::chrono::milliseconds lasts = std::chrono::minutes(1)) : honest_(lasts) {}

  /// Empty when direct reads of `file` may be believed; else why not. A file system that it has not heard of
  /// lately is asked: the block at `offset` is read direct into `block`, which is filled with other bytes
  /// before, and through the page cache before and after. Only a difference that comes again and again while
  /// the file is not changed is held against the file system; a block that stays as it was while the file is
  /// being changed, against this read. `block`: writable, direct_unit() bytes, aligned for direct I/O on the
  /// file; its bytes are undefined afterwards.
  std::string check(const FileEnd& file, uint64_t offset, std::span<std::byte> block);
  /// What check() would answer without reading; nothing when it has not heard of the file system lately.
  [[nodiscard]] std::optional<std::string> verdict(const FileEnd& file) const;

 private:
  mutable std::mutex mutex_;
  ByDevice<bool> honest_;
};

/// Whether bytes that lie in the page cache are read faster from there than direct from the disk. That
/// depends on the machine: with a fast CPU and an ordinary disk the cache is several times faster, with a
/// slow CPU and a fast disk it is the other way round. So it is measured, on the first cached file of each
/// file system, again from time to time, and when there is a larger sample to be had. Files too small to be
/// measured are read from the cache where nothing is known: there a disk's latency counts most. Thread-safe.
class CacheChoice {
 public:
  /// For `range` of a file that does direct I/O. False when less than three quarters of it are cached.
  bool cache_is_faster(Workshop& shop, const FileEnd& file, Range range, const CancelToken* cancel);

 private:
  struct Verdict {
    bool cache;
    uint64_t sample;  // bytes it was measured with
  };
  std::mutex mutex_;
  ByDevice<Verdict> verdicts_{std::chrono::minutes(1)};
};

/// The rule: the cache must be clearly faster, for it costs CPU time that a direct read does not.
constexpr bool cache_pays(double cached_seconds, double direct_seconds) {
  return cached_seconds * 1.25 < direct_seconds;
}

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

struct FileSystems {
  DirectTrust trust;
  CacheChoice cache;
  Rates rates;
};

}  // namespace dmabuffs
