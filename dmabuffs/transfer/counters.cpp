// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/counters.h"

#include <algorithm>

namespace dmabuffs {
namespace {
constexpr size_t kReasonKinds = 32;
constexpr size_t kRefusalsKept = 16;
}  // namespace

void add_reason(std::vector<Reason>& all, const Reason& reason, size_t most) {
  const auto known = std::ranges::find_if(
      all, [&](const Reason& other) { return other.path == reason.path && other.why == reason.why; });
  if (known != all.end())
    known->bytes += reason.bytes;
  else if (all.size() < most)
    all.push_back(reason);
}

void Counters::add(const PathBytes& bytes, const std::vector<Reason>& reasons) {
  const std::lock_guard lock(mutex_);
  for (size_t path = 0; path < kPathCount; ++path) {
    if (bytes[path] == 0) continue;
    totals_.paths[path].operations += 1;
    totals_.paths[path].bytes += bytes[path];
  }
  for (const Reason& reason : reasons) add_reason(totals_.reasons, reason, kReasonKinds);
}

void Counters::refuse(const std::string& message) {
  const std::lock_guard lock(mutex_);
  auto& refused = totals_.refused;
  Refusal now{message, 1, std::time(nullptr)};
  const auto known = std::find_if(refused.begin(), refused.end(),
                                  [&](const Refusal& old) { return old.message == message; });
  if (known != refused.end()) {
    now.times += known->times;
    refused.erase(known);
  } else if (refused.size() == kRefusalsKept) {
    refused.erase(refused.begin());
  }
  refused.push_back(std::move(now));
}

Counters::Snapshot Counters::snapshot() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

}  // namespace dmabuffs
