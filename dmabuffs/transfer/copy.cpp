// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/copy.h"

namespace dmabuffs {

void Outcome::add(const Moved& moved, Path path, const std::string& why) {
  bytes += moved.bytes;
  paths[static_cast<size_t>(path)] += moved.bytes;
  if (!why.empty() && moved.bytes > 0) add_reason(reasons, {path, why, moved.bytes}, kMostReasons);
  if (moved.error) error = moved.error;
}

void Outcome::add(const Outcome& next) {
  bytes += next.bytes;
  error = next.error;
  for (size_t i = 0; i < paths.size(); ++i) paths[i] += next.paths[i];
  for (const Reason& reason : next.reasons) add_reason(reasons, reason, kMostReasons);
}

}  // namespace dmabuffs
