// SPDX-License-Identifier: MIT
/// O_DIRECT into a ring of bounce units, each copied on while the others are in flight.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/transfer/file_part.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kBounceChunk = BouncePool::kUnit;
constexpr size_t kUnitsPerThread = 4;
constexpr size_t kUnitsPerHelper = 2;  // one to be read while the other is copied: so more of them can help

/// One thread's share of a read. A chunk is widened to whole blocks, so heads and tails need no care.
class BounceReader {
 public:
  BounceReader(IoQueue& queue, BouncePool::Loan& loan, const FilePart& part, Chunks& chunks)
      : queue_(queue), loan_(loan), part_(part), chunks_(chunks) {}

  void run() {
    for (size_t slot = 0; slot < loan_.count(); ++slot) start_next(slot);
    while (queue_.in_flight() > 0) {
      const auto done = queue_.wait();
      if (finish(done.tag, done.result)) start_next(done.tag);
    }
  }

 private:
  struct Slot {
    Range wanted;         // of the part
    Range blocks;         // of the file
    uint64_t filled = 0;  // bytes of `blocks` that are there
  };

  void start_next(size_t index) {
    const auto chunk = chunks_.take();
    if (!chunk) return;
    const uint64_t unit = direct_unit(part_.file.alignment().reads);
    slots_[index] = {*chunk, round_outward({part_.file_offset + chunk->offset, chunk->length}, unit), 0};
    submit(index);
  }

  void submit(size_t index) {
    const Slot& slot = slots_[index];
    queue_.read(part_.direct_fd, loan_.unit(index).subspan(slot.filled, slot.blocks.length - slot.filled),
                slot.blocks.offset + slot.filled, index);
  }

  /// True when the slot is free again.
  bool finish(size_t index, int64_t result) {
    Slot& slot = slots_[index];
    if (result == -EAGAIN || result == -EINTR) {
      submit(index);
      return false;
    }
    if (result > 0) {
      slot.filled += static_cast<uint64_t>(result);
      const bool whole_blocks = slot.filled % direct_unit(part_.file.alignment().reads) == 0;
      if (slot.filled < slot.blocks.length && whole_blocks) {
        submit(index);
        return false;
      }
    }
    const uint64_t kept = copy_out(index);
    if (result < 0) {
      const int code = static_cast<int>(-result);
      chunks_.stop(slot.wanted.offset + kept, fail_errno(code, part_.file.name()).value(), refusal_of(code));
    } else if (kept < slot.wanted.length) {
      chunks_.stop(slot.wanted.offset + kept);  // the source ends here
    }
    return true;
  }

  /// Copies what is there to its place; returns how many bytes of the chunk that were.
  uint64_t copy_out(size_t index) {
    const Slot& slot = slots_[index];
    const uint64_t skip = part_.file_offset + slot.wanted.offset - slot.blocks.offset;
    if (slot.filled <= skip) return 0;
    const uint64_t length = std::min(slot.filled - skip, slot.wanted.length);
    const auto target = part_.memory.subspan(slot.wanted.offset, length);
    // A page that can't be had would be a SIGBUS in the copy below.
    if (auto there = part_.populate({slot.wanted.offset, length}); !there) {
      chunks_.stop(slot.wanted.offset, there.error());
      return 0;
    }
    std::memcpy(target.data(), loan_.unit(index).data() + skip, length);
    return length;
  }

  IoQueue& queue_;
  BouncePool::Loan& loan_;
  const FilePart& part_;
  Chunks& chunks_;
  std::array<Slot, kUnitsPerThread> slots_{};
};

/// One thread's share of a write; with one unit in flight at a time where the file grows, so that it grows in
/// order.
class BounceWriter {
 public:
  BounceWriter(IoQueue& queue, BouncePool::Loan& loan, const FilePart& part, Chunks& chunks, unsigned depth)
      : queue_(queue), loan_(loan), part_(part), chunks_(chunks), depth_(depth) {
    for (size_t slot = 0; slot < loan.count(); ++slot) free_.at(free_count_++) = slot;
  }

  void run() {
    for (;;) {
      while (free_count_ > 0 && fill_next()) {
      }
      if (queue_.in_flight() == 0) return;
      finish_one();
    }
  }

 private:
  bool fill_next() {
    const auto chunk = chunks_.take();
    if (!chunk) return false;
    const size_t index = free_[--free_count_];
    rest_[index] = *chunk;
    base_[index] = chunk->offset;
    const auto source = part_.memory.subspan(chunk->offset, chunk->length);
    if (auto there = part_.populate(*chunk); !there) chunks_.stop(chunk->offset, there.error());
    if (!chunks_.stopped_before(chunk->offset))
      std::memcpy(loan_.unit(index).data(), source.data(), source.size());
    while (queue_.in_flight() >= depth_) finish_one();
    if (chunks_.stopped_before(chunk->offset)) {
      free_[free_count_++] = index;  // written now it would leave a hole, and the file longer than the data
      return false;
    }
    submit(index);
    return true;
  }

  void submit(size_t index) {
    const Range rest = rest_[index];
    queue_.write(part_.direct_fd, loan_.unit(index).subspan(rest.offset - base_[index], rest.length),
                 part_.file_offset + rest.offset, index);
  }

  void finish_one() {
    const auto done = queue_.wait();
    Range& rest = rest_[done.tag];
    if (done.result == -EAGAIN || done.result == -EINTR) return submit(done.tag);
    if (done.result > 0) {
      rest.offset += static_cast<uint64_t>(done.result);
      rest.length -= static_cast<uint64_t>(done.result);
      if (rest.length > 0) return submit(done.tag);
    } else {
      const int code = done.result < 0 ? static_cast<int>(-done.result) : EIO;
      chunks_.stop(rest.offset, fail_errno(code, part_.file.name()).value(), refusal_of(code));
    }
    free_[free_count_++] = done.tag;
  }

  IoQueue& queue_;
  BouncePool::Loan& loan_;
  const FilePart& part_;
  Chunks& chunks_;
  const unsigned depth_;
  std::array<Range, kUnitsPerThread> rest_{};
  std::array<uint64_t, kUnitsPerThread> base_{};
  std::array<size_t, kUnitsPerThread> free_{};
  size_t free_count_ = 0;
};

/// The leader waits for at least one unit; helpers join with what is to be had at once.
template <class Work>
Moved with_units(Workshop& shop, const FilePart& part, Chunks& chunks, unsigned workers, const Work& work) {
  auto leaders = shop.bounce.borrow(kUnitsPerThread, part.cancel);
  if (!leaders) return {0, leaders.error(), Moved::Refusal::None};
  shop.crew.run(workers, [&](bool leader) {
    BouncePool::Loan helpers = leader ? BouncePool::Loan() : shop.bounce.try_borrow(kUnitsPerHelper);
    BouncePool::Loan& loan = leader ? *leaders : helpers;
    if (loan.count() == 0) return;
    const auto queue = shop.queues.borrow();
    work(*queue, loan);
  });
  return chunks.moved();
}

unsigned workers_for(const Workshop& shop, uint64_t length) {
  return static_cast<unsigned>(
      std::min<uint64_t>(round_up(length, kBounceChunk) / kBounceChunk, shop.crew.size()));
}

Moved write_part(Workshop& shop, const FilePart& part, bool growing) {
  Chunks chunks(part.memory.size(), part.file_offset, kBounceChunk, part.cancel);
  const unsigned workers = growing ? 1 : workers_for(shop, part.memory.size());
  const unsigned depth = growing ? 1 : kUnitsPerThread;
  return with_units(shop, part, chunks, workers, [&](IoQueue& queue, BouncePool::Loan& loan) {
    BounceWriter(queue, loan, part, chunks, depth).run();
  });
}

}  // namespace

Moved read_bounced(Workshop& shop, const FilePart& part) {
  Chunks chunks(part.memory.size(), part.file_offset, kBounceChunk, part.cancel);
  const unsigned workers = workers_for(shop, part.memory.size());
  return with_units(shop, part, chunks, workers, [&](IoQueue& queue, BouncePool::Loan& loan) {
    BounceReader(queue, loan, part, chunks).run();
  });
}

Moved write_bounced(Workshop& shop, const FilePart& part) {
  const uint64_t inside = part.inside_file(), length = part.memory.size();
  Moved moved;
  if (inside > 0) moved = write_part(shop, part.slice(0, inside), false);
  if (moved.bytes < inside || inside == length) return moved;
  moved = write_part(shop, part.slice(inside, length - inside), true);
  moved.bytes += inside;
  return moved;
}

}  // namespace dmabuffs
