// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/file_systems.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <thread>
#include <vector>

#include "dmabuffs/transfer/page_cache.h"

namespace dmabuffs {

namespace {

constexpr const char* kLie = "the file system reported a direct read that did not bring the file's bytes";
constexpr int kAttempts = 3;
// So that two changes of a file in one attempt and the next don't have the same time (a tick, 10 ms at most).
constexpr auto kPause = std::chrono::milliseconds(15);

enum class Finding {
  Same,       ///< the direct read brought the bytes
  Other,      ///< it brought others, of a file that did not change since the first comparison
  Untouched,  ///< the file changed, but the direct read brought nothing
  Unknown,    ///< the file changed, or could not be read
};

/// What tells a change: the times come in ticks only, so the bytes are looked at as well.
struct State {
  std::vector<std::byte> bytes;
  std::array<int64_t, 5> stamps{};
  bool operator==(const State&) const = default;
};

std::optional<State> look(const FileEnd& file, uint64_t offset, size_t length) {
  State state{std::vector<std::byte>(length), {}};
  const auto got = read_without_trace(file.fd(), offset, state.bytes);
  struct stat st {};
  if (!got || *got == 0 || ::fstat(file.fd(), &st) != 0) return std::nullopt;
  state.bytes.resize(*got);
  state.stamps = {st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec, st.st_size};
  return state;
}

/// `first`: the file's state at the first comparison, which sets it.
Finding compare(const FileEnd& file, uint64_t offset, std::span<std::byte> block,
                std::optional<State>& first) {
  const auto before = look(file, offset, block.size());
  if (!before) return Finding::Unknown;
  if (!first) first = before;
  // Old memory may hold the very bytes already (zeros, above all); their complement can only go by being read
  // over.
  const auto fill = block.first(before->bytes.size());
  std::ranges::transform(before->bytes, fill.begin(), [](std::byte byte) { return ~byte; });
  const ssize_t got = ::pread(file.direct_fd(), block.data(), block.size(), static_cast<off_t>(offset));
  const auto after = got < 0 ? std::nullopt : look(file, offset, block.size());
  if (!after) return Finding::Unknown;
  const auto direct = block.first(static_cast<size_t>(got));
  if (std::ranges::equal(direct, before->bytes) || std::ranges::equal(direct, after->bytes))
    return Finding::Same;
  if (*first == *before && *before == *after) return Finding::Other;
  const bool untouched = std::ranges::equal(fill, before->bytes,
                                            [](std::byte filled, std::byte byte) { return filled == ~byte; });
  return untouched ? Finding::Untouched : Finding::Unknown;
}

}  // namespace

std::optional<std::string> DirectTrust::verdict(const FileEnd& file) const {
  const std::lock_guard lock(mutex_);
  const auto known = honest_.find(file.device());
  if (!known) return std::nullopt;
  return *known ? "" : kLie;
}

std::string DirectTrust::check(const FileEnd& file, uint64_t offset, std::span<std::byte> block) {
  if (auto known = verdict(file)) return *known;
  int others = 0, untouched = 0;
  std::optional<State> first;
  Finding finding = Finding::Unknown;
  for (int attempt = 0; attempt < kAttempts && finding != Finding::Same; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kPause);
    finding = compare(file, offset, block, first);
    others += finding == Finding::Other;
    untouched += finding == Finding::Untouched;
  }
  const bool same = finding == Finding::Same;
  const bool lies = others == kAttempts;
  if (lies || same) {
    const std::lock_guard lock(mutex_);
    honest_.learn(file.device(), !lies);
  }
  return !same && others + untouched > 0 ? kLie : "";
}

namespace {

constexpr size_t kSampleUnits = 4;
constexpr uint64_t kLargestSample = kSampleUnits * BouncePool::kUnit;
constexpr uint64_t kSmallestSample = uint64_t{256} << 10;  // less is more noise than time
// The first run pays for things the second finds done: pages of the bounce memory, dirty pages of the file.
constexpr int kRuns = 2;

class Sample {
 public:
  Sample(IoQueue& queue, BouncePool::Loan& memory, const FileEnd& file, Range range)
      : queue_(queue), memory_(memory), file_(file), fd_(file.direct_fd()), range_(range) {}

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
    for (size_t unit = 0; unit < units(); ++unit) queue_.read(fd_, bytes(unit), place(unit), unit);
    bool all = true;
    while (queue_.in_flight() > 0) {
      const auto done = queue_.wait();
      all &= done.result == static_cast<int64_t>(bytes(done.tag).size());
    }
    return all;
  }

  bool read_cached() {
    for (size_t unit = 0; unit < units(); ++unit) {
      const auto to = bytes(unit);
      const ssize_t got = ::pread(file_.fd(), to.data(), to.size(), static_cast<off_t>(place(unit)));
      if (got != static_cast<ssize_t>(to.size())) return false;
    }
    return true;
  }

 private:
  [[nodiscard]] size_t units() const {
    return round_up(range_.length, BouncePool::kUnit) / BouncePool::kUnit;
  }
  [[nodiscard]] uint64_t place(size_t unit) const { return range_.offset + unit * BouncePool::kUnit; }
  [[nodiscard]] std::span<std::byte> bytes(size_t unit) const {
    return memory_.unit(unit).first(std::min(BouncePool::kUnit, range_.end() - place(unit)));
  }

  IoQueue& queue_;
  BouncePool::Loan& memory_;
  const FileEnd& file_;
  const int fd_;
  const Range range_;
};

/// What of `range` is measured: whole blocks from its start on; empty when it is too small for that.
Range sample_of(const FileEnd& file, Range range) {
  const uint64_t unit = direct_unit(file.alignment().reads);
  const uint64_t begin = round_up(range.offset, unit);
  const uint64_t end = std::min(round_down(range.end(), unit), begin + kLargestSample);
  return begin < end && end - begin >= kSmallestSample ? Range{begin, end - begin} : Range{};
}

/// Nothing when it could not be measured.
std::optional<bool> measure(Workshop& shop, const FileEnd& file, Range& sample, const CancelToken* cancel) {
  auto memory = shop.bounce.borrow(kSampleUnits, cancel);
  if (!memory) return std::nullopt;
  sample.length = std::min<uint64_t>(sample.length, memory->count() * BouncePool::kUnit);
  if (cached_bytes(file.fd(), sample).value_or(0) < sample.length) return std::nullopt;
  const auto queue = shop.queues.borrow();
  Sample reads(*queue, *memory, file, sample);
  const auto cached = reads.best<&Sample::read_cached>();
  const auto direct = reads.best<&Sample::read_direct>();
  if (!cached || !direct) return std::nullopt;
  return cache_pays(*cached, *direct);
}

}  // namespace

bool CacheChoice::cache_is_faster(Workshop& shop, const FileEnd& file, Range range,
                                  const CancelToken* cancel) {
  if (cached_bytes(file.fd(), range).value_or(0) < range.length / 4 * 3) return false;
  Range sample = sample_of(file, range);
  {
    const std::lock_guard lock(mutex_);
    const auto known = verdicts_.find(file.device());
    if (known && known->sample >= sample.length) return known->cache;
  }
  if (sample.length == 0) return true;
  const auto measured = measure(shop, file, sample, cancel);
  if (!measured) return false;
  const std::lock_guard lock(mutex_);
  verdicts_.learn(file.device(), {*measured, sample.length});
  return *measured;
}

}  // namespace dmabuffs
