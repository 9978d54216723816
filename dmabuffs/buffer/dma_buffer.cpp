// SPDX-License-Identifier: MIT
/// A window of a DmaBuffer given to a transfer.
/// The regular file over a DmaBuffer's dma-buf.
#include "dmabuffs/buffer/dma_buffer.h"

#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/log.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/dmabuf.h"
#include "dmabuffs/buffer/recycler.h"

namespace dmabuffs {

namespace {

size_t index_of(Access access) {
  return access == Access::Read ? 0 : 1;
}

}  // namespace

DmaBuffer::DmaBuffer(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid, std::string name,
                     DmabufFile file, std::chrono::milliseconds fence_limit)
    : heap_(std::move(heap)),
      recycler_(recycler),
      uid_(uid),
      fence_limit_(fence_limit),
      file_(std::move(file)),
      name_(std::move(name)) {}

DmaBuffer::~DmaBuffer() {
  if (phase_ != Phase::Empty) release();
}

BufferInfo DmaBuffer::info() const {
  const std::lock_guard facts(facts_mutex_);
  BufferInfo info = facts_;
  info.size = current_size();
  return info;
}

uint64_t DmaBuffer::size() const {
  const std::lock_guard facts(facts_mutex_);
  return current_size();
}

std::string DmaBuffer::name() const {
  const std::lock_guard facts(facts_mutex_);
  return name_;
}

void DmaBuffer::set_size(uint64_t size) {
  {
    const std::lock_guard facts(facts_mutex_);
    if (size == size_) return;
    size_ = size;
  }
  show_size();
}

Error DmaBuffer::busy() const {
  return {EBUSY, name() + ": its dma-buf is in use elsewhere and holds only " + std::to_string(capacity()) +
                     " bytes"};
}

Result<CpuAccess> DmaBuffer::begin_access(Access access) {
  const int fd = storage_->dmabuf_fd();
  if (fd < 0) return CpuAccess();
  // Nobody else knows this memory yet, so there is nobody to wait for or to tell. Worth the question: at the
  // first access udmabuf makes a list of all its pages, which takes longer than filling recycled memory from
  // a fast disk.
  if (phase_ == Phase::Filling && !fence_pending(fd, access)) return CpuAccess();
  std::atomic<bool>& waited_enough = waited_enough_[index_of(access)];
  if (waited_enough && fence_pending(fd, access)) return Failure(fence_error(name(), fence_limit_));
  auto bracket = CpuAccess::begin(fd, access, name(), fence_limit_, &sync_mutex_);
  waited_enough = !bracket && fence_pending(fd, access);
  if (bracket) accessed_ = true;
  return bracket;
}

Result<bool> DmaBuffer::view(uint64_t offset, size_t length, const Look& look) {
  const std::shared_lock use(use_);
  if (offset >= size_ || length == 0 || !storage_->pinnable()) return false;
  return look_at(offset, std::min<uint64_t>(length, size_ - offset), look);
}

Result<size_t> DmaBuffer::read(uint64_t offset, std::span<std::byte> to) {
  const std::shared_lock use(use_);
  if (offset >= size_ || to.empty()) return 0;
  const size_t length = std::min<uint64_t>(to.size(), size_ - offset);
  auto read =
      look_at(offset, length, [to](auto bytes) { std::copy(bytes.begin(), bytes.end(), to.begin()); });
  if (!read) return pass(std::move(read));
  return length;
}

Result<bool> DmaBuffer::look_at(uint64_t offset, size_t length, const Look& look) {
  const auto bracket = TRY(begin_access(Access::Read));
  const auto bytes = TRY(storage_->map());
  const auto source = bytes.subspan(offset, length);
  if (storage_->growable()) {
    // A page not there yet would be allocated by the access, where failing is SIGBUS.
    TRY(populate(source));
  }
  look(source);
  return true;
}

Result<size_t> DmaBuffer::write(uint64_t offset, std::span<const std::byte> from) {
  const std::unique_lock use(use_);
  return write_locked(offset, from);
}

Result<size_t> DmaBuffer::append(std::span<const std::byte> from, uint64_t& at) {
  const std::unique_lock use(use_);
  at = size_;
  return write_locked(at, from);
}

Result<size_t> DmaBuffer::write_locked(uint64_t offset, std::span<const std::byte> from) {
  if (from.empty()) return 0;
  if (!fits({offset, from.size()})) return fail(EFBIG, name() + too_large());
  if (auto room = make_room(offset + from.size()); !room) {
    if (offset >= capacity()) return pass(std::move(room));
    from = from.first(capacity() - offset);  // what still fits; the next write meets the error
  }
  const auto bracket = TRY(begin_access(Access::Write));
  const auto bytes = TRY(storage_->map());
  TRY(clean(bytes, offset));
  const auto target = bytes.subspan(offset, from.size());
  if (storage_->growable()) {
    TRY(populate(target));
  }
  std::copy(from.begin(), from.end(), target.begin());
  note_written({offset, from.size()});
  // Last: a reader past the daemon does not wait for use_, and must not see a size without its bytes.
  set_size(std::max(size_, offset + from.size()));
  clip_old_bytes();
  return from.size();
}

Result<void> DmaBuffer::resize(uint64_t size) {
  const std::unique_lock use(use_);
  if (!fits({0, size})) return fail(EFBIG, name() + too_large());
  if (size == 0 && let_go()) {
    set_size(0);
    release();
    return {};
  }
  return size < size_ ? shrink(size) : extend(size, size);
}

Result<void> DmaBuffer::allocate(Range range, bool keep_size) {
  const std::unique_lock use(use_);
  if (!fits(range)) return fail(EFBIG, name() + too_large());
  const uint64_t end = std::max(range.end(), size_);
  auto extended = extend(end, keep_size ? size_ : end);
  if (extended) roomy_ = false;  // what was asked for stays
  return extended;
}

/// Holds `capacity` bytes at least, then has `size` (size_ <= size <= capacity).
Result<void> DmaBuffer::extend(uint64_t capacity, uint64_t size) {
  if (capacity == 0) return {};
  if (identity_fixed() && capacity > this->capacity()) return Failure(busy());
  TRY(publish(capacity));
  if (others_may_write() && size > size_) {
    const auto bracket = TRY(begin_access(Access::Write));
    const auto bytes = TRY(storage_->map());
    TRY(clean(bytes, size));
  }
  set_size(size);
  return {};
}

/// `size` < size_; above 0 unless the identity is fixed.
Result<void> DmaBuffer::shrink(uint64_t size) {
  if (phase_ == Phase::Filling) {
    const Range cut{size, size_ - size};
    set_size(size);
    taint(cut);
    // The bytes are cut whatever comes of this; flush makes the dma-buf, or says why it can't.
    (void)publish(size);
    return {};
  }
  if (!identity_fixed() && wastes_memory(capacity(), heap_->capacity_for(size))) {
    if (publish_in_fresh(size, size)) {
      set_size(size);
      return {};
    }
    // No memory for the smaller copy: it keeps what it has.
  }
  const auto bracket = TRY(begin_access(Access::Write));
  const auto bytes = TRY(storage_->map());
  const uint64_t cut = size_ - size;
  set_size(size);
  return zero_bytes(bytes.subspan(size, cut));
}

Result<void> DmaBuffer::zero(Range range) {
  const std::unique_lock use(use_);
  TRY(gather_rest());
  const uint64_t end = std::min(size_, capacity());  // the file may grow meanwhile
  if (range.offset >= end || range.length == 0) return {};
  const uint64_t length = std::min(range.length, end - range.offset);
  const auto bracket = TRY(begin_access(Access::Write));
  const auto bytes = TRY(storage_->map());
  return zero_bytes(bytes.subspan(range.offset, length));
}

Result<void> DmaBuffer::flush() {
  const std::unique_lock use(use_);
  if (size_ > 0) {
    give_back_room();
    return publish_written();
  }
  if (phase_ == Phase::Filling) release();
  return {};
}

bool DmaBuffer::would_block(Access access, uint64_t end) const {
  if (access == Access::Write && leases_ > 0) return true;
  {
    const std::shared_lock use(use_, std::try_to_lock);
    if (!use || (access == Access::Write && moves_much(end))) return true;
  }
  // adopt() changes facts_ before it frees memory: the descriptor is good under the mutex.
  const std::lock_guard facts(facts_mutex_);
  if (facts_.pid_fd < 0) return false;
  // An exporter may do at the first access what takes long for a large buffer (udmabuf: its list of pages).
  return !accessed_ || fence_pending(facts_.pid_fd, access);
}

bool DmaBuffer::moves_much(uint64_t end) const {
  if (storage_ && size_ > 0 && end > capacity() && !storage_->growable()) return true;
  return end > size_ && end - size_ > kMuch;
}

void DmaBuffer::pin_identity() {
  const std::unique_lock use(use_);
  pinned_ = true;
}

void DmaBuffer::idle() {
  const std::unique_lock use(use_, std::try_to_lock);
  // The mapping of a large one stays: making it anew takes longer than filling recycled memory from a fast
  // disk, and of large ones there are never so many that their addresses run out.
  constexpr uint64_t kWorthKeeping = uint64_t{16} << 20;
  if (use && capacity() < kWorthKeeping && storage_)
    storage_->unmap();  // else somebody uses it, and calls this again
}

void DmaBuffer::set_name(const std::string& name) {
  const std::lock_guard facts(facts_mutex_);
  name_ = name;
  if (facts_.pid_fd >= 0) set_dmabuf_name(facts_.pid_fd, name);
}

class DmaLease final : public Lease {
 public:
  /// Waits for the lock; begin() does what can fail.
  DmaLease(DmaBuffer& buffer, Range window, Access access, uint64_t expected_end)
      : buffer_(buffer), window_(window), expected_end_(expected_end) {
    if (access == Access::Read) {
      shared_ = std::shared_lock(buffer.use_);
    } else {
      exclusive_ = std::unique_lock(buffer.use_);
    }
    ++buffer_.leases_;
  }
  ~DmaLease() override {
    --buffer_.leases_;
    if (!exclusive_ || committed_) return;
    if (!bytes_.empty()) store(0);
    buffer_.ask_size();
    if (buffer_.size_ == 0 && buffer_.phase_ == DmaBuffer::Phase::Filling) {
      bracket_.end();
      buffer_.release();
    }
  }
  DmaLease(const DmaLease&) = delete;
  DmaLease& operator=(const DmaLease&) = delete;

  Result<void> begin() {
    const Access access = exclusive_ ? Access::Write : Access::Read;
    if (access == Access::Write) {
      auto room = buffer_.make_room_for_load(std::max(expected_end_, window_.end()));
      if (!room) return room;
    } else if (window_.end() > std::min(buffer_.current_size(), buffer_.capacity())) {
      return fail(EINVAL, buffer_.name() + ": the range lies beyond the buffer's end");
    }
    bracket_ = TRY(buffer_.begin_access(access));
    const auto all = TRY(buffer_.storage_->map());
    if (access == Access::Write) {
      TRY(buffer_.clean(all, window_.offset));
    }
    bytes_ = all.subspan(window_.offset, window_.length);
    return {};
  }

  std::span<std::byte> bytes() const override { return bytes_; }
  bool pinnable() const override { return buffer_.storage_->pinnable(); }
  bool needs_populate() const override { return buffer_.storage_->growable(); }
  DmabufRange dmabuf() const override { return {buffer_.storage_->dmabuf_fd(), window_.offset}; }

  Result<void> commit(uint64_t done) override {
    if (!exclusive_ || committed_ || done > window_.length) {
      return fail(EINVAL, buffer_.name() + ": a lease committed that is for reading, done, or shorter");
    }
    store(done);
    committed_ = true;
    bracket_.end();
    if (buffer_.size_ < window_.offset + done)
      return fail(EIO, buffer_.name() + ": its file did not take the bytes");
    const bool complete = expected_end_ > 0 && buffer_.size_ >= expected_end_;
    return complete ? buffer_.publish_written() : Result<void>{};
  }

 private:
  /// Counts the first `done` bytes; what a transfer may have left behind them, past the size, is zeroed now
  /// if others can see it, else remembered.
  void store(uint64_t done) {
    buffer_.ask_size();
    if (done > 0) buffer_.set_size(std::max(buffer_.size_, window_.offset + done));
    buffer_.note_written({window_.offset, done});
    buffer_.clip_old_bytes();
    const uint64_t rest = std::max(buffer_.size_, window_.offset + done);
    if (rest >= window_.end()) return;
    if (buffer_.phase_ == DmaBuffer::Phase::Published) {
      std::ranges::fill(bytes_.subspan(rest - window_.offset), std::byte{0});
    } else {
      buffer_.taint({rest, window_.end() - rest});
    }
  }

  DmaBuffer& buffer_;
  const Range window_;
  const uint64_t expected_end_;
  std::shared_lock<UseLock> shared_;
  std::unique_lock<UseLock> exclusive_;
  CpuAccess bracket_;  // after the locks: ends before they are released
  std::span<std::byte> bytes_;
  bool committed_ = false;
};

Result<std::unique_ptr<Lease>> DmaBuffer::lease(Range window, Access access, uint64_t expected_end) {
  if (!fits(window) || !fits({0, expected_end})) return fail(EFBIG, name() + too_large());
  if (window.length == 0) return fail(EINVAL, name() + ": an empty range can't be leased");
  for (unsigned tries = 0;; ++tries) {
    auto lease = std::make_unique<DmaLease>(*this, window, access, expected_end);
    auto begun = lease->begin();
    if (begun) return lease;
    if (access == Access::Write || tries == kMostTries || !lacks(window)) return pass(std::move(begun));
    // It was emptied and written anew, say.
    lease.reset();
    const std::unique_lock use(use_);
    if (!lacks(window)) continue;
    TRY(gather_rest());
  }
}

Result<void> DmaBuffer::show(const Storage& storage) {
  if (!file_.fd) return {};
  // It may be smaller than the size still is, when that is about to be cut.
  auto bound =
      file_.module->bind_file(file_.fd.get(), storage.dmabuf_fd(), std::min(size_, storage.capacity()));
  if (bound) {
    shown_ = true;
  } else if (bound.error().code == EBUSY) {
    pinned_ = true;
    return Failure(busy());
  } else if (!shown_ && bound.error().code == EOPNOTSUPP) {
    // It is a good dma-buf all the same; only it can't be mapped through the mount.
    log_debug(name() + ": " + bound.error().message);
    return {};
  }
  return bound;
}

bool DmaBuffer::let_go() {
  if (identity_fixed()) return false;
  return !shown_ || unbind();
}

bool DmaBuffer::unbind() {
  const auto freed = file_.module->bind_file(file_.fd.get(), -1, 0);
  pinned_ = pinned_ || !freed;
  shown_ = !freed;
  return freed.has_value();
}

void DmaBuffer::show_size() const {
  if (shown_) (void)file_.module->bind_file(file_.fd.get(), storage_->dmabuf_fd(), size_);
}

void DmaBuffer::release() {
  (void)let_go();
  adopt(nullptr, Phase::Empty, false);
}

}  // namespace dmabuffs
