// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/transfer/paths.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kChunk = kHugePage;

Result<void> there(const Memory& memory, const Range& chunk) {
  // A page that can't be had would be a SIGBUS in the copy.
  if (!memory.populate) return {};
  return populate(memory.bytes.subspan(chunk.offset, chunk.length));
}

}  // namespace

Moved copy_memory(Workshop& shop, const Memory& from, const Memory& to, const CancelToken* cancel) {
  const uint64_t length = to.bytes.size();
  Chunks chunks(length, reinterpret_cast<uintptr_t>(to.bytes.data()), kChunk, cancel);
  const uint64_t workers = round_up(length, kChunk) / kChunk;
  shop.crew.run(static_cast<unsigned>(std::min<uint64_t>(workers, shop.crew.size())), [&](bool) {
    while (const auto chunk = chunks.take()) {
      auto ready = there(from, *chunk);
      if (ready) ready = there(to, *chunk);
      if (!ready) return chunks.stop(chunk->offset, ready.error());
      std::memcpy(to.bytes.data() + chunk->offset, from.bytes.data() + chunk->offset, chunk->length);
    }
  });
  return chunks.moved();
}

}  // namespace dmabuffs
