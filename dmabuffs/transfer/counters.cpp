// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/counters.h"

#include <algorithm>

namespace dmabuffs {
namespace {
constexpr size_t kReasonKinds = 32;
constexpr size_t kRefusalsKept = 16;
}  // namespace

const char* to_string(Path path) {
  switch (path) {
    case Path::KernelDirect:
      return "kernel-direct";
    case Path::PinnedDirect:
      return "pinned-direct";
    case Path::BounceDirect:
      return "bounce-direct";
    case Path::Buffered:
      return "buffered";
    case Path::MemoryCopy:
      return "memory-copy";
    case Path::FileCopy:
      return "file-copy";
  }
  return "unknown";
}

void Counters::add(const PathBytes& bytes, const std::vector<Reason>& reasons) {
  const std::lock_guard lock(mutex_);
  for (size_t path = 0; path < kPathCount; ++path) {
    if (bytes[path] == 0) continue;
    totals_.paths[path].operations += 1;
    totals_.paths[path].bytes += bytes[path];
  }
  for (const Reason& reason : reasons) {
    const auto known = std::find_if(totals_.reasons.begin(), totals_.reasons.end(), [&](const Reason& other) {
      return other.path == reason.path && other.why == reason.why;
    });
    if (known != totals_.reasons.end()) {
      known->bytes += reason.bytes;
    } else if (totals_.reasons.size() < kReasonKinds) {
      totals_.reasons.push_back(reason);
    }
  }
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
