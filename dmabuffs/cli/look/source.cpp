// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/look/source.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "dmabuffs/base/io.h"
#include "dmabuffs/control/client.h"
#include "dmabuffs/control/way.h"
#include "dmabuffs/tree/files/held.h"

namespace dmabuffs::cli {

Result<Source> Source::open(const std::string& path) {
  Source source;
  source.name_ = path;
  if (path == "-") {
    source.name_ = "standard input";
    source.fd_.reset(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  } else {
    TRY(check_answers(path));
    source.fd_.reset(again([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY); }));
  }
  if (!source.fd_) return path_error(errno, source.name_);
  struct stat& st = source.file_;
  if (::fstat(source.fd_.get(), &st) != 0) return path_error(errno, source.name_);
  if (S_ISDIR(st.st_mode)) return fail(EISDIR, source.name_ + ": a directory; name a file in it");
  if (path == "-")
    source.start_ = static_cast<uint64_t>(std::max<off_t>(0, ::lseek(source.fd_.get(), 0, SEEK_CUR)));
  // Devices tell their size this way only. Files of /proc have bytes, but no size.
  if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode) && !S_ISSOCK(st.st_mode)) {
    const off_t end = S_ISREG(st.st_mode) ? st.st_size : ::lseek(source.fd_.get(), 0, SEEK_END);
    if (end > 0)
      source.size_ = static_cast<uint64_t>(end) - std::min(static_cast<uint64_t>(end), source.start_);
  }
  return source;
}

bool Source::is(const std::string& path) const {
  struct stat there {};
  if ((!S_ISREG(file_.st_mode) && !S_ISBLK(file_.st_mode)) || ::stat(path.c_str(), &there) != 0) return false;
  if (file_.st_dev == there.st_dev) return file_.st_ino == there.st_ino;
  // Below files/ a mount shows files of the host under numbers of its own.
  return std::max(file_.st_ino, there.st_ino) >= kFirstShownInode && same_shown_file(file_, there);
}

Result<void> Source::read(uint64_t offset, std::span<std::byte> to) const {
  const ssize_t got = pread_all(fd_.get(), to, start_ + offset);
  if (got < 0 && errno == EIO && lies_in_mount(name_))
    return fail(EIO, name_ + ": can't be read; dmabuffs status " + name_ + " shows why");
  if (got < 0) return fail_errno(errno, name_);
  if (static_cast<size_t>(got) < to.size())
    return fail(EIO, name_ + ": ends at byte " + std::to_string(offset + static_cast<size_t>(got)) +
                         ", and more is needed; has it become shorter?");
  return {};
}

image::ReadAt Source::reader(uint64_t offset) const {
  return [this, offset](uint64_t at, std::span<std::byte> to) { return read(offset + at, to); };
}

Result<size_t> Source::read_next(std::span<std::byte> to) {
  const ssize_t got =
      move_all(to, [this](auto left, size_t) { return ::read(fd_.get(), left.data(), left.size()); });
  if (got < 0) return fail_errno(errno, name_);
  return static_cast<size_t>(got);
}

Result<void> Source::hold(std::optional<uint64_t> most) {
  constexpr size_t kPart = size_t{256} << 10;
  UniqueFd held(::memfd_create("dmabuffs-input", MFD_CLOEXEC));
  if (!held) return fail_errno(errno, name_);
  std::vector<std::byte> part(kPart);
  uint64_t size = 0;
  while (size < most.value_or(kMostHeld + 1)) {
    const auto room = std::min<uint64_t>(kPart, most.value_or(kMostHeld + 1) - size);
    const size_t got = TRY(read_next(std::span(part).first(room)));
    if (pwrite_all(held.get(), std::span(part).first(got), size) != static_cast<ssize_t>(got))
      return fail(ENOMEM, name_ + ": no memory for what comes from it");
    size += got;
    if (got < room) break;
  }
  if (!most && size > kMostHeld)
    return fail(EFBIG, name_ + ": more than 1 GiB; write it to a file, or say what picture it is");
  fd_ = std::move(held);
  start_ = 0;
  size_ = size;
  return {};
}

}  // namespace dmabuffs::cli
