// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/verify.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "dmabuffs/base/page_cache.h"

namespace dmabuffs {
namespace {

constexpr const char* kLie = "the file system reported a direct read that did not bring the file's bytes";
// Somebody may write the block between the two reads: a lie shows every time.
constexpr int kAttempts = 3;

/// Whether both reads agree; nothing when one failed, which tells nothing about the file system.
std::optional<bool> reads_agree(const FileEnd& file, uint64_t offset, std::span<std::byte> block) {
  std::vector<std::byte> expected(block.size());
  const auto cached = read_without_trace(file.fd(), offset, expected);
  if (!cached || *cached == 0) return std::nullopt;
  // Old memory may hold the very bytes already (zeros, above all); their complement can only go by being read
  // over.
  std::transform(expected.begin(), expected.end(), block.begin(), [](std::byte byte) { return ~byte; });
  const ssize_t direct = ::pread(file.direct_fd(), block.data(), block.size(), static_cast<off_t>(offset));
  if (direct < 0) return std::nullopt;
  return static_cast<size_t>(direct) == *cached &&
         std::equal(block.begin(), block.begin() + direct, expected.begin());
}

}  // namespace

std::optional<std::string> DirectTrust::verdict(const FileEnd& file) const {
  const std::lock_guard lock(mutex_);
  const auto known = honest_.find(file.device());
  if (known == honest_.end()) return std::nullopt;
  return known->second ? "" : kLie;
}

std::string DirectTrust::check(const FileEnd& file, uint64_t offset, std::span<std::byte> block) {
  if (auto known = verdict(file)) return *known;
  std::optional<bool> agree;
  for (int attempt = 0; attempt < kAttempts && agree != true; ++attempt)
    agree = reads_agree(file, offset, block);
  if (!agree) return {};
  const std::lock_guard lock(mutex_);
  honest_[file.device()] = *agree;
  return *agree ? "" : kLie;
}

}  // namespace dmabuffs
