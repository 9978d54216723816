// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/files/open_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>

namespace dmabuffs {

FilesFile::FilesFile(std::shared_ptr<FilesNode> node, SharedFd fd, int flags, Credentials opener, Share share)
    : share_(std::move(share)),
      node_(std::move(node)),
      fd_(std::move(fd)),
      flags_(flags),
      opener_(std::move(opener)),
      append_((flags & O_APPEND) != 0) {
  node_->add_handle(fd_);
}

Result<size_t> FilesFile::read(uint64_t offset, std::span<std::byte> to) {
  size_t done = 0;
  while (done < to.size()) {
    const ssize_t got =
        ::pread(fd_->get(), to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && done == 0) return fail_errno(errno, "read");
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

// As the opener: quotas, reserved blocks and the clearing of setuid bits go by who writes.
Result<size_t> FilesFile::write(uint64_t offset, std::span<const std::byte> from) {
  const auto rights = TRY(room().act_as(opener_));
  size_t done = 0;
  while (done < from.size()) {
    const ssize_t put =
        ::pwrite(fd_->get(), from.data() + done, from.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && done == 0) return fail_errno(errno, "write");
    if (put <= 0) break;
    done += static_cast<size_t>(put);
  }
  return done;
}

void FilesFile::set_append(bool append) {
  // Opened without, its pages may be mapped: what is written back must go to its place while another thread
  // appends, and for those writes the kernel has found the end.
  if ((flags_ & O_APPEND) == 0 || append_.exchange(append) == append) return;
  const int flags = ::fcntl(fd_->get(), F_GETFL);
  if (flags >= 0) (void)::fcntl(fd_->get(), F_SETFL, append ? flags | O_APPEND : flags & ~O_APPEND);
}

/// A network file system reports at close what a write could not: a second descriptor is closed for each of
/// the client's, because the first stays open.
Result<void> FilesFile::flush() {
  const int copy = ::fcntl(fd_->get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return fail_errno(errno, "close");
  return check_call(::close(copy), "close");
}

Result<void> FilesFile::fsync(bool data_only) {
  return check_call(data_only ? ::fdatasync(fd_->get()) : ::fsync(fd_->get()), "fsync");
}

Result<void> FilesFile::fallocate(int mode, uint64_t offset, uint64_t length) {
  const auto rights = TRY(room().act_as(opener_));
  return check_call(::fallocate(fd_->get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)),
                    "fallocate");
}

Result<uint64_t> FilesFile::lseek(uint64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return fail_errno(EINVAL, "lseek");
  const off_t at = ::lseek(fd_->get(), static_cast<off_t>(offset), whence);
  if (at < 0) return fail_errno(errno, "lseek");
  return static_cast<uint64_t>(at);
}

Result<End> FilesFile::transfer_end(Access access) {
  const int mode = flags_ & O_ACCMODE;
  if (mode == (access == Access::Read ? O_WRONLY : O_RDONLY)) return fail_errno(EBADF, "transfer");
  if (access == Access::Write) drop_privilege_bits();
  const std::lock_guard lock(mutex_);
  if (!end_) {
    // may_reopen: where the opener may no longer open it (a file made with mode 0444), the daemon does: the
    // same inode with the access that he was granted.
    end_ = std::make_shared<FileEnd>(fd_->get(), open_direct(), room().display(*node_), true);
  }
  return End(end_);
}

std::optional<KnownPicture> FilesFile::picture() const {
  struct stat st {};
  if (::fstat(fd_->get(), &st) != 0) return std::nullopt;
  return guess_from(room().display(*node_), static_cast<uint64_t>(st.st_size));
}

/// A write by somebody without CAP_FSETID takes setuid and setgid away. Transfers write on threads that have
/// the daemon's rights, so the host would leave them.
void FilesFile::drop_privilege_bits() {
  const bool may_keep = opener_.uid == 0 && (opener_.capabilities & uint64_t{1} << CAP_FSETID) != 0;
  if (room().as_caller() && !may_keep) dmabuffs::drop_privilege_bits(fd_->get());
}

UniqueFd FilesFile::open_direct() {
  if (!room().as_caller()) return UniqueFd();
  const auto rights = room().act_as(opener_);
  if (!rights) return UniqueFd();
  auto direct = reopen(fd_->get(), (flags_ & O_ACCMODE) | O_DIRECT);
  return direct ? std::move(*direct) : UniqueFd();
}

/// In a private mount the one user is the daemon's own. Elsewhere the kernel would read and write with the
/// rights of the daemon, who opened the backing file.
int FilesFile::passthrough_fd() const {
  const MountSettings& settings = room().context().settings;
  return settings.private_mount && settings.passthrough ? fd_->get() : -1;
}

Result<std::vector<DirectoryEntry>> FilesDirectory::list(uint64_t after) {
  const auto is_it = [after](const DirectoryEntry& entry) { return entry.place == after; };
  auto from = std::find_if(read_.rbegin(), read_.rend(), is_it).base();  // behind it, else the begin
  if (after == 0 || (from == read_.begin() && after != start_)) {
    if (::lseek(fd_->get(), static_cast<off_t>(after), SEEK_SET) < 0) return fail_errno(errno, "directory");
    from = read_.end();
  }
  if (from == read_.end()) {
    TRY(read_on(after));
    from = read_.begin();
  }
  return std::vector(from, read_.end());
}

/// Names, numbers and types as the directory itself has them: no entry is touched, so listing a directory
/// asks nothing of the mounts in it.
Result<void> FilesDirectory::read_on(uint64_t after) {
  alignas(dirent64) std::array<char, kMemory / 4> bytes;
  const ssize_t got = ::getdents64(fd_->get(), bytes.data(), bytes.size());
  if (got < 0 && errno != ENOENT)  // it was removed: so that was all
    return fail_errno(errno, "directory");
  read_.clear();
  start_ = after;
  for (ssize_t at = 0; at < got;) {
    const auto* entry = reinterpret_cast<const dirent64*>(bytes.data() + at);
    read_.push_back({entry->d_name, numbers_.shown(device_, entry->d_ino),
                     static_cast<mode_t>(DTTOIF(entry->d_type)), static_cast<uint64_t>(entry->d_off)});
    at += entry->d_reclen;
  }
  return {};
}

Result<void> FilesDirectory::fsync() {
  return check_call(::fsync(fd_->get()), "fsync");
}

}  // namespace dmabuffs
