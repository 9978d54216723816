// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dmabuffs/tree/files/node.h"

namespace dmabuffs {

/// An open regular file of the host.
///
/// The client's kernel keeps its pages (no direct_io), so that every kind of mmap works; it drops them when a
/// new open, or the attributes asked for with each read, show another size or time, so changes on the host
/// are seen by the next read. Only files opened with O_APPEND go without: the host's kernel then puts each
/// write at the end, whoever else appends, and would put written-back pages of a mapping there too.
class FilesFile final : public OpenFile {
 public:
  /// What one takes of the daemon's: itself, and what a transfer opens for direct I/O.
  static constexpr uint64_t kDescriptors = 2;
  /// `flags`: the access mode and O_APPEND `fd` was opened with. `opener`: who writes through it. `share`: of
  /// kDescriptors.
  FilesFile(std::shared_ptr<FilesNode> node, SharedFd fd, int flags, Credentials opener, Share share);

  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override;
  Result<size_t> write(uint64_t offset, std::span<const std::byte> from) override;
  void set_append(bool append) override;
  Result<void> flush() override;
  Result<void> fsync(bool data_only) override;
  Result<void> fallocate(int mode, uint64_t offset, uint64_t length) override;
  Result<uint64_t> lseek(uint64_t offset, int whence) override;
  Result<End> transfer_end(Access access) override;
  [[nodiscard]] std::optional<KnownPicture> picture() const override;
  [[nodiscard]] int passthrough_fd() const override;
  [[nodiscard]] bool direct_io() const override { return (flags_ & O_APPEND) != 0; }

  /// -1 unless it was opened for writing.
  [[nodiscard]] int writable_fd() const { return (flags_ & O_ACCMODE) == O_RDONLY ? -1 : fd_->get(); }

 private:
  [[nodiscard]] const FilesRoom& room() const { return *node_->room(); }
  void drop_privilege_bits();
  UniqueFd open_direct();

  const Share share_;
  const std::shared_ptr<FilesNode> node_;
  const SharedFd fd_;
  const int flags_;
  const Credentials opener_;
  std::atomic<bool> append_;
  std::mutex mutex_;
  std::shared_ptr<FileEnd> end_;  // made by the first transfer
};

/// An open directory of the host, whose kernel says what comes after a place. Not all of them say it well
/// while others remove (tmpfs before Linux 6.6), so it is asked from elsewhere than it stands at only where
/// the client goes back farther than what was read last.
class FilesDirectory final : public OpenDirectory {
 public:
  /// Bytes that it holds.
  static constexpr uint64_t kMemory = 16 << 10;
  /// `fd`: the directory, open for reading, whose position is used here only. `shares`: of one descriptor,
  /// and of kMemory.
  FilesDirectory(SharedFd fd, dev_t device, FilesNumbers& numbers, std::array<Share, 2> shares)
      : shares_(std::move(shares)), fd_(std::move(fd)), device_(device), numbers_(numbers) {}
  Result<std::vector<DirectoryEntry>> list(uint64_t after) override;
  Result<void> fsync() override;

 private:
  Result<void> read_on(uint64_t after);

  const std::array<Share, 2> shares_;
  const SharedFd fd_;
  const dev_t device_;
  FilesNumbers& numbers_;
  uint64_t start_ = 0;                ///< the place before read_
  std::vector<DirectoryEntry> read_;  ///< last
};

}  // namespace dmabuffs
