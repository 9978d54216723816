// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/end.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <cstring>

#include "dmabuffs/base/io.h"

#ifndef HUGETLBFS_MAGIC
#define HUGETLBFS_MAGIC 0x958458f6
#endif

namespace dmabuffs {
namespace {

// Linux 6.14; <sys/stat.h> of Debian 12 and 13 is older, but its struct has the room.
constexpr unsigned kReadAlign = 0x20000;  // STATX_DIO_READ_ALIGN
constexpr size_t kReadAlignAt = 0xb4;     // of stx_dio_read_offset_align
static_assert(sizeof(struct statx) >= kReadAlignAt + sizeof(uint32_t));

/// Name of a file system whose files are memory: O_DIRECT, where it is accepted at all, copies from the page
/// cache.
const char* memory_file_system(int fd) {
  struct statfs fs {};
  if (::fstatfs(fd, &fs) != 0) return nullptr;
  switch (static_cast<uint32_t>(fs.f_type)) {
    case TMPFS_MAGIC:
      return "tmpfs";
    case RAMFS_MAGIC:
      return "ramfs";
    case HUGETLBFS_MAGIC:
      return "hugetlbfs";
    default:
      return nullptr;
  }
}

}  // namespace

const unsigned kAlignmentMask = STATX_DIOALIGN | kReadAlign;

std::optional<DirectAlignment> direct_alignment(const struct statx& told) {
  if ((told.stx_mask & STATX_DIOALIGN) == 0) return DirectAlignment{};  // btrfs, NFS, 9p: they don't say
  // Zero means that this very file has no direct I/O (encrypted, journaled data, …).
  if (told.stx_dio_offset_align == 0 || told.stx_dio_mem_align == 0) return std::nullopt;
  uint32_t reads = 0;  // zero: as writes
  if ((told.stx_mask & kReadAlign) != 0)
    std::memcpy(&reads, reinterpret_cast<const char*>(&told) + kReadAlignAt, sizeof reads);
  return DirectAlignment{told.stx_dio_mem_align, reads != 0 ? reads : told.stx_dio_offset_align,
                         told.stx_dio_offset_align};
}

FileEnd::FileEnd(int fd, UniqueFd direct, std::string name, bool may_reopen)
    : fd_(fd), direct_(std::move(direct)), name_(std::move(name)) {
  ask_alignment();
  if (const char* memory = memory_file_system(fd_)) {
    deny_direct(std::string(memory) + " does not support direct I/O: its files are memory");
  }
  if (!denied_ && !direct_) open_direct(may_reopen);
}

void FileEnd::ask_alignment() {
  struct statx st {};
  if (::statx(fd_, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO | kAlignmentMask, &st) != 0)
    return;
  device_ = makedev(st.stx_dev_major, st.stx_dev_minor);
  if ((st.stx_mask & STATX_INO) != 0) inode_ = st.stx_ino;
  if (const auto alignment = direct_alignment(st)) {
    alignment_ = *alignment;
  } else {
    deny_direct("the file system offers no direct I/O for this file");
  }
}

void FileEnd::open_direct(bool may_reopen) {
  if (!may_reopen) return deny_direct("the file was not opened for direct I/O");
  const int mode = ::fcntl(fd_, F_GETFL);
  if (mode < 0) return deny_direct(std::strerror(errno));
  const std::string self = "/proc/self/fd/" + std::to_string(fd_);
  direct_ = open_without_waiting(self.c_str(), (mode & O_ACCMODE) | O_DIRECT);
  if (direct_) return;
  if (errno == EINVAL) return deny_direct("the file system does not support direct I/O");
  deny_direct(std::string("opening the file for direct I/O failed: ") + std::strerror(errno));
}

const std::string& FileEnd::not_direct_reason() const {
  static const std::string none;
  return denied_.load(std::memory_order_acquire) ? reason_ : none;
}

void FileEnd::deny_direct(std::string why) {
  std::call_once(denial_, [&] {
    reason_ = std::move(why);
    denied_.store(true, std::memory_order_release);
  });
}

Result<uint64_t> FileEnd::size() const {
  struct stat st {};
  if (::fstat(fd_, &st) != 0) return fail_errno(errno, name_);
  if (S_ISREG(st.st_mode)) return static_cast<uint64_t>(st.st_size);
  uint64_t bytes = 0;
  if (S_ISBLK(st.st_mode)) {
    if (::ioctl(fd_, BLKGETSIZE64, &bytes) != 0) return fail_errno(errno, name_);
    return bytes;
  }
  return fail(EIO, name_ + ": not a regular file or block device");
}

Result<uint64_t> End::size() const {
  if (file_) return file_->size();
  return buffer_->size();
}

bool End::same_object(const End& other) const {
  if (file_ && other.file_) return file_ == other.file_ || file_->same_file(*other.file_);
  return buffer_ && buffer_ == other.buffer_;
}

bool End::appends() const {
  return file_ && (::fcntl(file_->fd(), F_GETFL) & O_APPEND) != 0;
}

}  // namespace dmabuffs
