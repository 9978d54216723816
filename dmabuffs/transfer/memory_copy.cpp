// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>

#include "dmabuffs/base/range.h"
#include "dmabuffs/transfer/file_part.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kMemoryChunk = kHugePage;

/// A page that can't be had would be a SIGBUS in the copy.
Result<void> make_ready(const Memory& from, const Memory& to, const Range& chunk) {
  TRY(from.populate(chunk));
  return to.populate(chunk);
}

}  // namespace

Moved copy_memory(Workshop& shop, const Memory& from, const Memory& to, const CancelToken* cancel) {
  const uint64_t length = to.bytes.size();
  Chunks chunks(length, reinterpret_cast<uintptr_t>(to.bytes.data()), kMemoryChunk, cancel);
  const uint64_t workers = round_up(length, kMemoryChunk) / kMemoryChunk;
  shop.crew.run(static_cast<unsigned>(std::min<uint64_t>(workers, shop.crew.size())), [&](bool) {
    while (const auto chunk = chunks.take()) {
      if (auto ready = make_ready(from, to, *chunk); !ready) return chunks.stop(chunk->offset, ready.error());
      std::memcpy(to.bytes.data() + chunk->offset, from.bytes.data() + chunk->offset, chunk->length);
    }
  });
  return chunks.moved();
}

}  // namespace dmabuffs
