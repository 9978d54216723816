// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <mutex>

#include "dmabuffs/base/range.h"
#include "dmabuffs/transfer/by_device.h"
#include "dmabuffs/transfer/paths.h"

namespace dmabuffs {

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

}  // namespace dmabuffs
