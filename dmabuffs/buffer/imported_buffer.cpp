// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/imported_buffer.h"

#include <fcntl.h>

#include <algorithm>
#include <shared_mutex>

#include "dmabuffs/heap/dmabuf_storage.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

Result<void> ImportedBuffer::take(UniqueFd dmabuf) {
  const std::unique_lock use(use_);
  if (storage_) return fail(EEXIST, name() + ": a dma-buf was imported there already");
  const uint64_t bytes = size_if_dmabuf(dmabuf.get());
  if (bytes == 0) return fail(EINVAL, name() + ": what is to be imported is no dma-buf");
  if (!fits({0, bytes})) return fail(EFBIG, name() + too_large());
  storage_ = std::make_unique<DmabufStorage>(std::move(dmabuf), bytes, Reservation());
  const std::lock_guard lock(facts_mutex_);
  facts_.size = facts_.capacity = bytes;
  facts_.is_dmabuf = true;
  facts_.pid_fd = storage_->dmabuf_fd();
  facts_.dmabuf_inode = dmabuf_inode(facts_.pid_fd);
  facts_.exporter = dmabuf_exporter(facts_.pid_fd);
  return {};
}

BufferInfo ImportedBuffer::info() const {
  const std::lock_guard lock(facts_mutex_);
  return facts_;
}

std::string ImportedBuffer::name() const {
  const std::lock_guard lock(facts_mutex_);
  return name_;
}

void ImportedBuffer::set_name(const std::string& name) {
  const std::lock_guard lock(facts_mutex_);
  name_ = name;
}

Failure ImportedBuffer::fixed_size() const {
  return fail(EPERM, name() + ": an imported dma-buf keeps its size, " + std::to_string(size()) + " bytes");
}

Result<ImportedBuffer::Opened> ImportedBuffer::open(Range window, Access access) {
  const int fd = storage_->dmabuf_fd();
  TRY(still_there());
  if (access == Access::Write && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
    return fail(EACCES, name() + ": it was imported by a descriptor that is open for reading only");
  auto bracket = TRY(CpuAccess::begin(fd, access, name(), kFenceLimit, &sync_mutex_));
  const auto bytes = TRY(about(name(), storage_->map())).subspan(window.offset, window.length);
  auto guard = TRY(about(name(), BusFaultGuard::over(bytes, gone_)));
  return Opened{std::move(bracket), std::move(guard), bytes};
}

Result<void> ImportedBuffer::still_there() const {
  if (gone_) return fail(EIO, name() + ": its exporter has taken the memory away (SIGBUS); import it anew");
  return {};
}

Result<size_t> ImportedBuffer::read(uint64_t offset, std::span<std::byte> to) {
  const std::shared_lock use(use_);
  const uint64_t end = size();
  if (offset >= end || to.empty()) return 0;
  const size_t length = std::min<uint64_t>(to.size(), end - offset);
  const auto from = TRY(open({offset, length}, Access::Read));
  std::ranges::copy(from.bytes, to.begin());
  TRY(still_there());
  return length;
}

Result<size_t> ImportedBuffer::write(uint64_t offset, std::span<const std::byte> from) {
  const std::unique_lock use(use_);
  const uint64_t end = size();
  if (from.empty()) return 0;
  if (offset >= end) return fixed_size();
  const size_t length = std::min<uint64_t>(from.size(), end - offset);
  const auto to = TRY(open({offset, length}, Access::Write));
  std::ranges::copy(from.first(length), to.bytes.begin());
  TRY(still_there());
  return length;
}

Result<size_t> ImportedBuffer::append(std::span<const std::byte> from, uint64_t& at) {
  at = size();
  return write(at, from);
}

Result<void> ImportedBuffer::resize(uint64_t wanted) {
  return wanted == size() ? Result<void>{} : fixed_size();
}

Result<void> ImportedBuffer::allocate(Range range, bool) {
  return fits(range) && range.end() <= size() ? Result<void>{} : fixed_size();
}

Result<void> ImportedBuffer::zero(Range range) {
  const std::unique_lock use(use_);
  const uint64_t end = size();
  if (range.offset >= end || range.length == 0) return {};
  const auto to = TRY(open({range.offset, std::min(range.length, end - range.offset)}, Access::Write));
  std::ranges::fill(to.bytes, std::byte{0});
  return still_there();
}

class ImportedLease final : public Lease {
 public:
  ImportedLease(ImportedBuffer& buffer, Range window, Access access) : buffer_(buffer), window_(window) {
    if (access == Access::Read)
      shared_ = std::shared_lock(buffer.use_);
    else
      exclusive_ = std::unique_lock(buffer.use_);
  }
  Result<void> begin() {
    if (!fits(window_) || window_.end() > buffer_.size()) return buffer_.fixed_size();
    opened_ = TRY(buffer_.open(window_, exclusive_ ? Access::Write : Access::Read));
    return {};
  }

  [[nodiscard]] std::span<std::byte> bytes() const override { return opened_.bytes; }
  [[nodiscard]] bool pinnable() const override { return false; }
  Result<void> populate(std::span<std::byte>) const override { return {}; }
  [[nodiscard]] DmabufRange dmabuf() const override {
    return {buffer_.storage_->dmabuf_fd(), window_.offset};
  }
  [[nodiscard]] Result<void> intact() const override { return buffer_.still_there(); }
  Result<void> commit(uint64_t) override { return intact(); }

 private:
  ImportedBuffer& buffer_;
  const Range window_;
  std::shared_lock<UseLock> shared_;
  std::unique_lock<UseLock> exclusive_;
  ImportedBuffer::Opened opened_;  // after the locks: ends before they are released
};

Result<std::unique_ptr<Lease>> ImportedBuffer::lease(Range window, Access access, uint64_t expected_end) {
  if (window.length == 0) return fail(EINVAL, name() + ": an empty range can't be leased");
  if (access == Access::Write && expected_end > size()) return fixed_size();
  auto lease = std::make_unique<ImportedLease>(*this, window, access);
  TRY(lease->begin());
  return lease;
}

Result<Buffer::HandedOut> ImportedBuffer::hand_out(bool, Charge) {
  const std::shared_lock use(use_);
  if (!storage_) return fail(ENODATA, name() + ": no dma-buf was imported there yet");
  return HandedOut{TRY(storage_->hand_out())};
}

bool ImportedBuffer::held_elsewhere() const {
  const std::unique_lock use(use_, std::try_to_lock);
  return use && storage_ && storage_->held_by_others();
}

void ImportedBuffer::idle() {
  const std::unique_lock use(use_, std::try_to_lock);
  if (use && storage_) storage_->unmap();  // else somebody uses it, and calls this again
}

}  // namespace dmabuffs
