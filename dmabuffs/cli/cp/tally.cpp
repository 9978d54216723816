// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/cp/file.h"

namespace dmabuffs::cli {

void CopyTally::add_path(const std::string& path, uint64_t count) {
  if (count > 0) paths[path] += count;
}

void CopyTally::add_reason(const Why& reason) {
  for (Why& known : reasons) {
    if (known.path != reason.path || known.why != reason.why) continue;
    known.bytes += reason.bytes;
    return;
  }
  reasons.push_back(reason);
}

void CopyTally::add_reply(const Json& reply) {
  bytes += number_of(reply, "bytes").value_or(0);
  if (const auto found = reply.find("paths"); found != reply.end() && found->is_object())
    for (const auto& [path, count] : found->items())
      add_path(path, number_of(*found, path.c_str()).value_or(0));
  if (const auto found = reply.find("reasons"); found != reply.end() && found->is_array())
    for (const Json& reason : *found)
      if (reason.is_object())
        add_reason({text_of(reason, "path").value_or(""), text_of(reason, "why").value_or(""),
                    number_of(reason, "bytes").value_or(0)});
}

void CopyTally::add(const CopyTally& other) {
  bytes += other.bytes;
  for (const auto& [path, count] : other.paths) add_path(path, count);
  for (const Why& reason : other.reasons) add_reason(reason);
  if (!other.refusal.empty()) refusal = other.refusal;
}

}  // namespace dmabuffs::cli
