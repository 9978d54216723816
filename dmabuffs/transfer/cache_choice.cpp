// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/cache_choice.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "dmabuffs/base/page_cache.h"
#include "dmabuffs/transfer/planner.h"

namespace dmabuffs {
namespace {

constexpr size_t kSampleUnits = 4;
constexpr auto kValidFor = std::chrono::seconds(60);
// The first run pays for things the second finds done: pages of the bounce memory, dirty pages of the file.
constexpr int kRuns = 2;

class Sample {
 public:
  Sample(IoQueue& queue, BouncePool::Loan& memory, const FileEnd& file, uint64_t offset)
      : queue_(queue), memory_(memory), file_(file), fd_(file.direct_fd()), offset_(offset) {}

  /// Seconds of the best of some runs; nothing when the bytes could not all be read.
  template <bool (Sample::*read)()>
  std::optional<double> best() {
    double best = std::numeric_limits<double>::max();
    for (int run = 0; run < kRuns; ++run) {
      const auto start = std::chrono::steady_clock::now();
      if (!(this->*read)()) return std::nullopt;
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
  }

  bool read_direct() {
    for (size_t unit = 0; unit < memory_.count(); ++unit)
      queue_.read(fd_, memory_.unit(unit), place(unit), unit);
    bool all = true;
    while (queue_.in_flight() > 0) all &= queue_.wait().result == static_cast<int64_t>(BouncePool::kUnit);
    return all;
  }

  bool read_cached() {
    for (size_t unit = 0; unit < memory_.count(); ++unit) {
      const auto to = memory_.unit(unit);
      const ssize_t got = ::pread(file_.fd(), to.data(), to.size(), static_cast<off_t>(place(unit)));
      if (got != static_cast<ssize_t>(to.size())) return false;
    }
    return true;
  }

 private:
  [[nodiscard]] uint64_t place(size_t unit) const { return offset_ + unit * BouncePool::kUnit; }

  IoQueue& queue_;
  BouncePool::Loan& memory_;
  const FileEnd& file_;
  const int fd_;
  const uint64_t offset_;
};

/// Nothing when it could not be measured.
std::optional<bool> measure(Workshop& shop, const FileEnd& file, Range range, const CancelToken* cancel) {
  const uint64_t offset = round_up(range.offset, direct_unit(file.offset_alignment()));
  auto memory = shop.bounce.borrow(kSampleUnits, cancel);
  if (!memory) return std::nullopt;
  const Range sample{offset, memory->count() * BouncePool::kUnit};
  if (sample.end() > range.end()) return std::nullopt;
  if (cached_bytes(file.fd(), sample).value_or(0) < sample.length) return std::nullopt;
  const auto queue = shop.queues.borrow();
  Sample reads(*queue, *memory, file, offset);
  const auto cached = reads.best<&Sample::read_cached>();
  const auto direct = reads.best<&Sample::read_direct>();
  if (!cached || !direct) return std::nullopt;
  return cache_pays(*cached, *direct);
}

}  // namespace

bool CacheChoice::cache_is_faster(Workshop& shop, const FileEnd& file, Range range,
                                  const CancelToken* cancel) {
  if (cached_bytes(file.fd(), range).value_or(0) < range.length / 4 * 3) return false;
  {
    const std::lock_guard lock(mutex_);
    const auto known = verdicts_.find(file.device());
    if (known != verdicts_.end() && Clock::now() - known->second.since < kValidFor)
      return known->second.cache;
  }
  const auto measured = measure(shop, file, range, cancel);
  if (!measured) return false;
  const std::lock_guard lock(mutex_);
  verdicts_[file.device()] = {*measured, Clock::now()};
  return *measured;
}

}  // namespace dmabuffs
