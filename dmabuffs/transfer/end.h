// SPDX-License-Identifier: MIT
/// The two ends of a transfer.
#pragma once
#include <sys/stat.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/buffer/buffer.h"

namespace dmabuffs {

/// What direct I/O on a file has to be aligned to, in bytes; powers of two.
struct DirectAlignment {
  uint32_t memory = 4096;
  uint32_t reads = 4096, writes = 4096;  ///< file offsets and lengths
  [[nodiscard]] uint32_t offsets(Access access) const { return access == Access::Read ? reads : writes; }
};
/// As statx(2) tells it, asked for kAlignmentMask; 4096 where it tells none. Nothing: the file has no direct
/// I/O.
std::optional<DirectAlignment> direct_alignment(const struct statx& told);
extern const unsigned kAlignmentMask;

/// A file (or block device) as an end of a transfer. Thread-safe; keep one for all pieces of a copy, it
/// remembers what was learned about the file.
class FileEnd {
 public:
  /// Borrows `fd`, which must stay open. `direct`: the same file opened with O_DIRECT and the same access
  /// mode; when invalid, one is made by re-opening /proc/self/fd/N with the daemon's rights if `may_reopen`.
  FileEnd(int fd, UniqueFd direct, std::string name, bool may_reopen);

  [[nodiscard]] int fd() const { return fd_; }
  /// -1 when the file can't be opened O_DIRECT; not_direct_reason() says why.
  [[nodiscard]] int direct_fd() const { return denied_.load(std::memory_order_acquire) ? -1 : direct_.get(); }
  [[nodiscard]] const std::string& not_direct_reason() const;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const DirectAlignment& alignment() const { return alignment_; }

  /// st_dev: what the file system is known by.
  [[nodiscard]] uint64_t device() const { return device_; }
  /// Whether `other` is an open of the same inode.
  [[nodiscard]] bool same_file(const FileEnd& other) const {
    return inode_ != 0 && inode_ == other.inode_ && device_ == other.device_;
  }
  /// Asked anew: of a regular file or a block device, in bytes. EIO for anything else.
  [[nodiscard]] Result<uint64_t> size() const;
  /// Direct I/O on the file turned out not to work: from now on direct_fd() is -1. The first reason given
  /// stays.
  void deny_direct(std::string why);

 private:
  void ask_alignment();
  void open_direct(bool may_reopen);

  int fd_;
  UniqueFd direct_;
  std::string name_, reason_;
  DirectAlignment alignment_;
  uint64_t device_ = 0, inode_ = 0;
  std::once_flag denial_;
  std::atomic<bool> denied_{false};
};

/// One end of a copy: a file or a buffer.
class End {
 public:
  End() = default;
  End(std::shared_ptr<FileEnd> file) : file_(std::move(file)) {}
  End(std::shared_ptr<Buffer> buffer) : buffer_(std::move(buffer)) {}

  /// Null when it is a buffer.
  [[nodiscard]] FileEnd* file() const { return file_.get(); }
  /// Null when it is a file.
  [[nodiscard]] Buffer* buffer() const { return buffer_.get(); }
  /// Bytes there are now.
  [[nodiscard]] Result<uint64_t> size() const;
  /// Whether both are one buffer, or opens of one file: it may come in by two ways.
  [[nodiscard]] bool same_object(const End& other) const;
  /// Whether the kernel would append writes wherever they are meant to go.
  [[nodiscard]] bool appends() const;

 private:
  std::shared_ptr<FileEnd> file_;
  std::shared_ptr<Buffer> buffer_;
};

}  // namespace dmabuffs
