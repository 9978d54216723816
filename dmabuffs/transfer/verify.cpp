// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/verify.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <thread>
#include <vector>

#include "dmabuffs/base/page_cache.h"

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

}  // namespace dmabuffs
