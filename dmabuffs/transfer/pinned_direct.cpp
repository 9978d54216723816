// SPDX-License-Identifier: MIT
/// O_DIRECT between a file and the buffer's own pages. Allocating (and zeroing) the pages is the larger half
/// of a load, so every thread populates its next chunk while its last one is being read.
#include <unistd.h>

#include <algorithm>
#include <array>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/transfer/file_part.h"

namespace dmabuffs {
namespace {

// Whole huge pages, so that no two threads allocate the same one. Four in flight cover what the disk and the
// scheduler vary by while the next chunk is populated (measured: 2 x 4 MiB was slower), and are little enough
// for a prompt cancel.
constexpr uint64_t kPinnedChunk = kHugePage;
constexpr unsigned kDepth = 4;
// Writes that make the file longer go one after the other; a chunk of this size keeps the disk busy long
// enough.
constexpr uint64_t kAppendChunk = uint64_t{16} << 20;

/// One thread's share: takes chunks, keeps some in flight.
class Mover {
 public:
  Mover(IoQueue& queue, const FilePart& part, Chunks& chunks, Access access)
      : queue_(queue), part_(part), chunks_(chunks), access_(access) {}

  void run() {
    for (;;) {
      while (queue_.in_flight() < kDepth && start_next()) {
      }
      if (queue_.in_flight() == 0) return;
      finish_one();
    }
  }

 private:
  [[nodiscard]] bool writing() const { return access_ == Access::Write; }

  bool start_next() {
    const auto chunk = chunks_.take();
    if (!chunk) return false;
    if (auto there = part_.populate(*chunk); !there) {
      chunks_.stop(chunk->offset, there.error());
      return false;
    }
    const auto slot =
        std::find_if(rest_.begin(), rest_.end(), [](const Range& rest) { return rest.length == 0; });
    *slot = *chunk;
    submit(static_cast<size_t>(slot - rest_.begin()));
    return true;
  }

  void submit(size_t slot) {
    const Range rest = rest_[slot];
    const auto memory = part_.memory.subspan(rest.offset, rest.length);
    const uint64_t at = part_.file_offset + rest.offset;
    if (writing()) {
      queue_.write(part_.direct_fd, memory, at, slot);
    } else {
      queue_.read(part_.direct_fd, memory, at, slot);
    }
  }

  void finish_one() {
    const auto done = queue_.wait();
    Range& rest = rest_[done.tag];
    if (done.result == -EAGAIN || done.result == -EINTR) return submit(done.tag);
    if (done.result <= 0) {
      if (done.result < 0) {
        const int code = static_cast<int>(-done.result);
        chunks_.stop(rest.offset, fail_errno(code, part_.file.name()).value(), refusal_of(code));
      } else {
        chunks_.stop(rest.offset);  // the source ends here
      }
      rest.length = 0;
      return;
    }
    rest.offset += static_cast<uint64_t>(done.result);
    rest.length -= static_cast<uint64_t>(done.result);
    if (rest.length == 0) return;
    if (rest.offset % direct_unit(part_.file.alignment().offsets(access_)) == 0) return submit(done.tag);
    chunks_.stop(rest.offset);  // in the middle of a block: the source was cut short
    rest.length = 0;
  }

  IoQueue& queue_;
  const FilePart& part_;
  Chunks& chunks_;
  const Access access_;               // to the file
  std::array<Range, kDepth> rest_{};  // what is still to come of the chunk in each slot
};

Moved move_in_parallel(Workshop& shop, const FilePart& part, Access access) {
  Chunks chunks(part.memory.size(), pinned_phase(part, access), kPinnedChunk, part.cancel);
  const uint64_t workers = round_up(part.memory.size(), kPinnedChunk) / kPinnedChunk;
  shop.crew.run(static_cast<unsigned>(std::min<uint64_t>(workers, shop.crew.size())), [&](bool) {
    const auto queue = shop.queues.borrow();
    Mover(*queue, part, chunks, access).run();
  });
  return chunks.moved();
}

/// Beyond the end of the file: in order and one at a time, so that the file never has a hole or more than the
/// data.
Moved append_in_order(const FilePart& part) {
  Chunks chunks(part.memory.size(), 0, kAppendChunk, part.cancel);
  while (const auto chunk = chunks.take()) {
    Range rest = *chunk;
    while (rest.length > 0) {
      const ssize_t put = ::pwrite(part.direct_fd, part.memory.data() + rest.offset, rest.length,
                                   static_cast<off_t>(part.file_offset + rest.offset));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) {
        const int code = put < 0 ? errno : EIO;
        chunks.stop(rest.offset, fail_errno(code, part.file.name()).value(), refusal_of(code));
        break;
      }
      rest.offset += static_cast<uint64_t>(put);
      rest.length -= static_cast<uint64_t>(put);
    }
  }
  return chunks.moved();
}

}  // namespace

uint64_t pinned_phase(const FilePart& part, Access access) {
  return round_down(reinterpret_cast<uintptr_t>(part.memory.data()),
                    direct_unit(part.file.alignment().offsets(access)));
}

Moved read_pinned(Workshop& shop, const FilePart& part) {
  return move_in_parallel(shop, part, Access::Read);
}

Moved write_pinned(Workshop& shop, const FilePart& part) {
  const uint64_t inside = part.inside_file(), length = part.memory.size();
  Moved moved;
  if (inside > 0) moved = move_in_parallel(shop, part.slice(0, inside), Access::Write);
  if (moved.bytes < inside || inside == length) return moved;
  moved = append_in_order(part.slice(inside, length - inside));
  moved.bytes += inside;
  return moved;
}

}  // namespace dmabuffs
