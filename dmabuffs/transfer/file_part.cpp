// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/file_part.h"

#include <algorithm>

namespace dmabuffs {

IoQueues::Loan IoQueues::borrow() {
  std::unique_ptr<IoQueue> queue;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      queue = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!queue) queue = std::make_unique<IoQueue>(kDepth);
  return {queue.release(), [this](IoQueue* used) {
            std::unique_ptr<IoQueue> back(used);
            // Where its ring failed the next one may have better luck; what an exception left running in it
            // ends with it.
            if (!back->asynchronous() || back->in_flight() > 0) return;
            try {
              const std::lock_guard lock(mutex_);
              idle_.push_back(std::move(back));
            } catch (const std::bad_alloc&) {  // so it goes
            }
          }};
}

Result<void> FilePart::populate(Range range) const {
  return Memory{memory, lease}.populate(range);
}

Result<void> Memory::populate(Range range) const {
  return lease == nullptr ? Result<void>{} : lease->populate(bytes.subspan(range.offset, range.length));
}

FilePart FilePart::slice(uint64_t offset, uint64_t length) const {
  FilePart slice = *this;
  slice.file_offset += offset;
  slice.memory = memory.subspan(offset, length);
  slice.dmabuf.offset += offset;
  return slice;
}

uint64_t FilePart::inside_file() const {
  const uint64_t end_of_file = file.size().value_or(0);
  const uint64_t within = end_of_file > file_offset ? end_of_file - file_offset : 0;
  return round_down(std::min<uint64_t>(within, memory.size()), direct_unit(file.alignment().writes));
}

Moved::Refusal refusal_of(int error) {
  switch (error) {
    case EINVAL:
    case EOPNOTSUPP:
      return Moved::Refusal::File;
    case EFAULT:
      return Moved::Refusal::Memory;
    default:
      return Moved::Refusal::None;
  }
}

}  // namespace dmabuffs
