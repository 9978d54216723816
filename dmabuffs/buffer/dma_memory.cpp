// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/dma_memory.h"

#include <algorithm>
#include <utility>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/heap/dmabuf_storage.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

BufferInfo DmaMemory::info() const {
  const std::lock_guard lock(facts_mutex_);
  BufferInfo all = facts_;
  all.size = size_;
  return all;
}

std::string DmaMemory::name() const {
  const std::lock_guard lock(facts_mutex_);
  return name_;
}

void DmaMemory::set_name(const std::string& name_now) {
  const std::lock_guard lock(facts_mutex_);
  name_ = name_now;
  if (facts_.pid_fd >= 0) name_dmabuf(facts_.pid_fd, name_);
}

bool DmaMemory::would_block(Access access) const {
  std::shared_lock shared(use_, std::defer_lock);
  std::unique_lock exclusive(use_, std::defer_lock);
  if (!(access == Access::Read ? shared.try_lock() : exclusive.try_lock())) return true;
  // adopt() changes the facts before it frees memory: the descriptor is good under the mutex.
  const std::lock_guard lock(facts_mutex_);
  if (facts_.pid_fd < 0) return false;
  // An exporter may do at the first access what takes long for a large buffer (udmabuf: its list of pages).
  return (!accessed_ && devices_may_know()) || fence_pending(facts_.pid_fd, access);
}

void DmaMemory::idle() {
  const std::unique_lock exclusive(use_, std::try_to_lock);
  // The mapping of a large one stays: making it anew takes longer than filling recycled memory from a fast
  // disk, and of large ones there are never so many that their addresses run out.
  constexpr uint64_t kWorthKeeping = uint64_t{16} << 20;
  if (exclusive && capacity() < kWorthKeeping && storage_)
    storage_->unmap();  // else somebody uses it, and calls this again
}

bool DmaMemory::held_by_others() const {
  return storage_->held_by_others((shown_ ? 1U : 0U) + (kept_ ? 1U : 0U));
}

bool DmaMemory::held_elsewhere() const {
  const std::unique_lock use(use_, std::try_to_lock);
  return use ? handed_out_ && held_by_others() : false;
}

Result<UniqueFd> DmaMemory::give(Buffer::Charge charge) {
  auto fd = TRY(storage_->hand_out());
  handed_out_ = true;
  charge_ = std::move(charge);
  return fd;
}

void DmaMemory::offer(const std::function<bool(const Buffer::Memory&)>& keep) {
  if (phase_ == Phase::Filling) return;
  kept_ = keep({storage_ ? storage_->dmabuf_fd() : -1, size_, storage_ ? storage_->huge_bytes() : 0});
}

Result<void> DmaMemory::take_back(UniqueFd dmabuf, uint64_t size, uint64_t huge_bytes) {
  const uint64_t bytes = size_if_dmabuf(dmabuf.get());
  if (bytes == 0 || size > bytes || huge_bytes > bytes || bytes % kPage != 0)
    return fail(EINVAL, "what was kept is no dma-buf that holds " + size_text(size));
  auto reservation = TRY(about(heap_->name(), heap_->budget().reserve(uid_, bytes, /*from_huge_pool=*/true)));
  adopt(std::make_unique<DmabufStorage>(std::move(dmabuf), bytes, std::move(reservation), huge_bytes),
        Phase::Published);
  kept_ = true;
  handed_out_ = true;  // perhaps; so what lies beyond the size need not be zero
  return {};
}

Error DmaMemory::busy() const {
  return {EBUSY, name() + ": its dma-buf is in use elsewhere and holds only " + std::to_string(capacity()) +
                     " bytes"};
}

Result<CpuAccess> DmaMemory::begin_access(Access access) {
  const int fd = storage_ ? storage_->dmabuf_fd() : -1;
  if (fd < 0) return CpuAccess();
  // Nobody else knows this memory yet, so there is nobody to wait for or to tell; and a device that is told
  // of it later finds all that was written (dma_map_sgtable). Worth the question: at the first access udmabuf
  // makes a list of all its pages, which takes longer than filling recycled memory from a fast disk; and on
  // arm64 it cleans the caches of the whole buffer at each, whatever part is read.
  if (!devices_may_know() && !fence_pending(fd, access)) return CpuAccess();
  std::atomic<bool>& enough = waited_enough_[access == Access::Read ? 0 : 1];
  if (enough && fence_pending(fd, access)) return Failure(fence_error(name(), fence_limit_));
  auto bracket = CpuAccess::begin(fd, access, name(), fence_limit_, &sync_mutex_);
  enough = !bracket && fence_pending(fd, access);
  if (bracket) accessed_ = true;
  return bracket;
}

bool DmaMemory::set_size(uint64_t bytes) {
  const std::lock_guard lock(facts_mutex_);
  return std::exchange(size_, bytes) != bytes;
}

namespace {

BufferInfo describe(const Storage* storage, bool published) {
  BufferInfo facts;
  if (storage == nullptr) return facts;
  facts.capacity = storage->capacity();
  facts.huge_bytes = storage->huge_bytes();
  if (!published || storage->dmabuf_fd() < 0) return facts;
  facts.is_dmabuf = true;
  facts.pid_fd = storage->dmabuf_fd();
  facts.dmabuf_inode = dmabuf_inode(facts.pid_fd);
  facts.exporter = dmabuf_exporter(facts.pid_fd);
  return facts;
}

}  // namespace

void DmaMemory::note_memory() {
  BufferInfo now = describe(storage_.get(), phase_ == Phase::Published);
  const std::lock_guard lock(facts_mutex_);
  if (now.pid_fd != facts_.pid_fd) accessed_ = false;
  // Named here too: a recycled dma-buf has the name of its last owner, and set_name() may have come while it
  // was made.
  if (now.pid_fd >= 0 && now.pid_fd != facts_.pid_fd) name_dmabuf(now.pid_fd, name_);
  facts_ = std::move(now);
}

void DmaMemory::adopt(std::unique_ptr<Storage> fresh, Phase next) {
  const bool complete = phase_ == Phase::Published || (storage_ && storage_->dmabuf_fd() >= 0);
  const bool handed_out = std::exchange(handed_out_, false);
  const bool kept = kept_.exchange(false);
  const auto charge = std::exchange(charge_, nullptr);
  storage_.swap(fresh);
  present_end_ = 0;
  phase_ = next;
  staged_ = false;
  old_bytes_ = {};
  if (phase_ == Phase::Empty) returns_ = 0;
  note_memory();
  if (handed_out)
    recycler_.leave(std::move(fresh), charge);
  else if (complete && !pinned_ && !kept && heap_->kind() != HeapKind::Drm)  // whose lines may be other ones
    recycler_.put(heap_->name(), uid_, std::move(fresh));
}

Result<std::unique_ptr<Storage>> DmaMemory::memory_beside(uint64_t bytes) {
  auto fresh = heap_->create_rows(bytes, row_bytes_, uid_);
  const bool first = staged_ || storage_ == nullptr;
  if (!fresh && first && size_ > 0 && (fresh.error().code == ENOSPC || fresh.error().code == ENOMEM))
    fresh.error().message += " (for the dma-buf, beside the " + size_text(size_) +
                             " that were written; set the file's size before writing, or copy with dmabuffs "
                             "cp, and they need it once)";
  return fresh;
}

uint64_t DmaMemory::with_slack(uint64_t bytes) const {
  if (returns_ < 2) return bytes;
  const uint64_t most = bytes + bytes / 8;  // what wastes_memory() allows
  const uint64_t huge = round_down(most, kHugePage);
  const uint64_t room = huge > bytes ? huge : round_down(most, kPage);
  return room > bytes && heap_->capacity_for(room) <= most ? room : bytes;
}

void DmaMemory::give_back_room(const std::function<Result<void>(uint64_t)>& replace) {
  if (!roomy_ || phase_ != Phase::Published) return;
  const uint64_t enough = with_slack(size_);
  const bool wasteful = wastes_memory(capacity(), heap_->capacity_for(enough));
  // Without memory for a smaller one it keeps what it has, until the next close.
  roomy_ = wasteful && !identity_fixed() && !replace(enough);
}

Result<Buffer::Loaded> DmaMemory::load(const Heap::Source& source, uint64_t most) {
  const std::unique_lock use(use_);
  count(0);
  // Memory that is there already need not be zeroed first.
  if (phase_ != Phase::Empty || size_ > 0 ||
      recycler_.has(heap_->name(), uid_, heap_->capacity_for(source.length)))
    return fail_errno(EOPNOTSUPP, "loading a buffer");
  auto loaded = TRY(heap_->load(source, uid_));
  const uint64_t bytes = std::min(loaded.bytes, most);
  if (bytes == 0) return Buffer::Loaded{0, loaded.direct};
  TRY(hide(*loaded.storage));
  adopt(std::move(loaded.storage), Phase::Filling);
  note_written({0, bytes});
  count(bytes);
  Result<void> published;
  if (size_ < bytes) published = fail(EIO, name() + ": its file did not take the bytes");
  taint({bytes, loaded.bytes - bytes});  // the file has grown, or the unit of its I/O is larger
  if (published) published = publish_written();
  if (published) return Buffer::Loaded{bytes, loaded.direct};
  release();
  return pass(std::move(published));
}

bool DmaMemory::unbind() {
  const bool freed = file_.module->bind_file(file_.fd.get(), -1, 0).has_value();
  pinned_ = pinned_ || !freed;
  shown_ = !freed;
  return freed;
}

Result<void> DmaMemory::zero(Range range) {
  const uint64_t end = std::min(size_, capacity());  // a file that leads may grow meanwhile
  if (range.offset >= end || range.length == 0) return {};
  const auto bracket = TRY(begin_access(Access::Write));
  const auto bytes = TRY(storage_->map());
  return zero_bytes(bytes.subspan(range.offset, std::min(range.length, end - range.offset)));
}

Result<void> DmaMemory::zero_bytes(std::span<std::byte> bytes) {
  if (storage_->growable()) {
    TRY(populate(bytes));
  }
  std::ranges::fill(bytes, std::byte{0});
  return {};
}

void DmaMemory::taint(Range range) {
  if (range.length == 0) return;
  if (old_bytes_.length > 0) {
    const uint64_t begin = std::min(old_bytes_.offset, range.offset);
    range = {begin, std::max(old_bytes_.end(), range.end()) - begin};
  }
  old_bytes_ = range;
  clip_old_bytes();
}

void DmaMemory::clip_old_bytes() {
  const uint64_t begin = std::max(old_bytes_.offset, size_);
  const uint64_t end = std::min(old_bytes_.end(), capacity());
  old_bytes_ = begin < end ? Range{begin, end - begin} : Range{};
}

Result<void> DmaMemory::clean(std::span<std::byte> bytes, uint64_t end) {
  if (others_may_write()) {
    // Whoever maps the dma-buf may have written there.
    return end > size_ ? zero_bytes(bytes.subspan(size_, end - size_)) : Result<void>{};
  }
  const uint64_t stop = std::min(end, old_bytes_.end());
  if (stop <= old_bytes_.offset) return {};
  TRY(zero_bytes(bytes.subspan(old_bytes_.offset, stop - old_bytes_.offset)));
  old_bytes_ = {stop, old_bytes_.end() - stop};
  return {};
}

/// A window of the memory given to a transfer.
class DmaLease final : public Lease {
 public:
  DmaLease(DmaMemory& memory, Range window, uint64_t expected_end, std::shared_lock<UseLock> shared)
      : memory_(memory), window_(window), expected_end_(expected_end), shared_(std::move(shared)) {
    if (!shared_) exclusive_ = std::unique_lock(memory.use_);
  }
  ~DmaLease() override {
    if (!exclusive_ || committed_) return;
    if (!bytes_.empty()) store(0);
    memory_.count(0);
    if (memory_.size_ > 0 || memory_.phase_ != DmaMemory::Phase::Filling) return;
    bracket_.end();
    memory_.release();
  }
  DmaLease(const DmaLease&) = delete;
  DmaLease& operator=(const DmaLease&) = delete;

  Result<void> begin() {
    if (exclusive_) {
      TRY(memory_.make_room_for_load(std::max(expected_end_, window_.end())));
    }
    bracket_ = TRY(memory_.begin_access(exclusive_ ? Access::Write : Access::Read));
    const auto all = TRY(memory_.storage_->map());
    if (exclusive_) {
      TRY(memory_.clean(all, window_.offset));
    }
    bytes_ = all.subspan(window_.offset, window_.length);
    return {};
  }

  std::span<std::byte> bytes() const override { return bytes_; }
  bool pinnable() const override { return memory_.storage_->pinnable(); }
  Result<void> populate(std::span<std::byte> part) const override {
    if (!memory_.storage_->growable()) return {};
    return exclusive_ ? memory_.storage_->populate(part) : populate_for_reading(part);
  }
  DmabufRange dmabuf() const override { return {memory_.storage_->dmabuf_fd(), window_.offset}; }

  Result<void> commit(uint64_t done) override {
    if (!exclusive_ || committed_ || done > window_.length)
      return fail(EINVAL, memory_.name() + ": a lease committed that is for reading, done, or shorter");
    store(done);
    committed_ = true;
    bracket_.end();
    if (memory_.size_ < window_.offset + done)
      return fail(EIO, memory_.name() + ": its file did not take the bytes");
    const bool complete = expected_end_ > 0 && memory_.size_ >= expected_end_;
    return complete ? memory_.publish_written() : Result<void>{};
  }

 private:
  /// Counts the first `done` bytes; what a transfer may have left behind them, past the size, is zeroed now
  /// if others can see it, else remembered.
  void store(uint64_t done) {
    memory_.count(done > 0 ? window_.offset + done : 0);
    memory_.note_written({window_.offset, done});
    memory_.clip_old_bytes();
    const uint64_t rest = std::max(memory_.size_, window_.offset + done);
    if (rest >= window_.end()) return;
    if (memory_.phase_ == DmaMemory::Phase::Published) {
      std::ranges::fill(bytes_.subspan(rest - window_.offset), std::byte{0});
    } else {
      memory_.taint({rest, window_.end() - rest});
    }
  }

  DmaMemory& memory_;
  const Range window_;
  const uint64_t expected_end_;
  std::shared_lock<UseLock> shared_;
  std::unique_lock<UseLock> exclusive_;
  CpuAccess bracket_;  // after the locks: ends before they are released
  std::span<std::byte> bytes_;
  bool committed_ = false;
};

Result<std::unique_ptr<Lease>> DmaMemory::lease(Range window, uint64_t expected_end,
                                                std::shared_lock<UseLock> shared) {
  if (!fits(window) || !fits({0, expected_end})) return fail(EFBIG, name() + too_large());
  if (window.length == 0) return fail(EINVAL, name() + ": an empty range can't be leased");
  auto lease = std::make_unique<DmaLease>(*this, window, expected_end, std::move(shared));
  TRY(lease->begin());
  return lease;
}

}  // namespace dmabuffs
