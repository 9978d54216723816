// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>

#include "dmabuffs/tree/heaps/buffer_file.h"

namespace dmabuffs {

/// A buffer opened through the mount.
class OpenBuffer : public OpenFile {
 public:
  /// `opener`: who opens it.
  OpenBuffer(BufferFile::Use use, int flags, uid_t opener)
      : use_(std::move(use)), flags_(flags), append_((flags & O_APPEND) != 0) {
    passes_ = may_pass(opener) && file_->begin_passing();
  }
  ~OpenBuffer() override {
    if (passes_) file_->end_passing();
  }
  OpenBuffer(const OpenBuffer&) = delete;
  OpenBuffer& operator=(const OpenBuffer&) = delete;

  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override;
  Result<bool> view(uint64_t offset, size_t length, const Look& look) override {
    return buffer_->view(offset, length, look);
  }
  Result<size_t> write(uint64_t offset, std::span<const std::byte> from) override;
  void set_append(bool append) override { append_.store(append, std::memory_order_relaxed); }
  Result<void> flush() override;
  Result<void> fsync(bool data_only) override;
  Result<void> fallocate(int mode, uint64_t offset, uint64_t length) override;
  Result<uint64_t> lseek(uint64_t offset, int whence) override;
  [[nodiscard]] bool would_block(Access access, uint64_t end) const override;
  Result<End> transfer_end(Access access) override;
  [[nodiscard]] std::optional<KnownPicture> picture() const override { return file_->picture(); }
  void copied_from(const std::optional<KnownPicture>& known) override { file_->copied_from(known); }
  [[nodiscard]] int passthrough_fd() const override { return buffer_->passthrough_fd(); }
  [[nodiscard]] bool only_maps_pass() const override { return !passes_; }

 private:
  [[nodiscard]] bool writable() const { return (flags_ & O_ACCMODE) != O_RDONLY; }
  /// Writes to a memfd that pass the daemon pass its limits, too: those that the owner has asked for, and
  /// other users' shares (a file of the kernel module has the limit itself). And the kernel's own open of the
  /// backing file appends for good, whatever fcntl(2) says later.
  [[nodiscard]] bool may_pass(uid_t opener) const {
    const MountContext& context = file_->context();
    if (!context.passthrough.enabled()) return false;
    if (!writable()) return buffer_->reads_pass();
    const bool limited = context.settings.size != 0 || opener != context.owner_uid;
    return buffer_->writes_pass() && (!limited || buffer_->heap().is_dmabuf()) && (flags_ & O_APPEND) == 0;
  }

  const BufferFile::Use use_;
  const std::shared_ptr<BufferFile>& file_ = use_.file();
  const std::shared_ptr<Buffer>& buffer_ = use_.buffer();
  int flags_;
  bool passes_ = false;
  std::atomic<bool> append_;
  std::atomic<bool> wrote_{false};
};

}  // namespace dmabuffs
