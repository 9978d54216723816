// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>

#include "dmabuffs/base/io.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/control/way.h"
#include "dmabuffs/heap/message.h"
#include "dmabuffs/transfer/page_cache.h"

namespace dmabuffs::cli::bench {

namespace {

constexpr uint64_t kPiece = 4 * kMiB;

/// Only what is clean can be dropped, and not what somebody has mapped.
void drop_pages(int fd) {
  (void)::fdatasync(fd);
  (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/// For pages that stay all the same (in lists of a CPU's own, say): root may empty all caches of files.
void drop_all_pages() {
  const UniqueFd control(::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC));
  if (control) (void)!::write(control.get(), "1", 1);
}

void put_stamp(std::span<std::byte> piece, uint64_t offset, uint64_t stamp) {
  if (stamp == 0) return;
  for (uint64_t at = 0; at + sizeof stamp <= piece.size(); at += kPage) {
    const uint64_t mark = stamp * 0x9e3779b97f4a7c15U + offset + at;
    std::memcpy(piece.data() + at, &mark, sizeof mark);
  }
}

/// A piece as it has to be: of the file, stamped, zeros behind the file's end.
Result<void> expected(const BenchFile& file, uint64_t offset, uint64_t stamp, std::span<std::byte> piece) {
  const uint64_t there = offset < file.size() ? std::min(file.size() - offset, piece.size()) : 0;
  TRY(file.read(offset, piece.first(there)));
  std::memset(piece.data() + there, 0, piece.size() - there);
  put_stamp(piece, offset, stamp);
  return {};
}

}  // namespace

Result<void> BenchFile::learn() {
  struct stat st {};
  if (::fstat(fd_.get(), &st) != 0) return fail_errno(errno, path_);
  if (!S_ISREG(st.st_mode)) return fail(EINVAL, path_ + ": no regular file; bench reads a file of a disk");
  size_ = static_cast<uint64_t>(st.st_size);
  changed_ = st.st_mtim;
  end_ = std::make_shared<FileEnd>(fd_.get(), UniqueFd(), path_, true);
  return {};
}

Result<BenchFile> BenchFile::open(const std::string& path) {
  BenchFile file;
  file.path_ = path;
  // O_NONBLOCK: a FIFO would wait for who writes it.
  file.fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.fd_)
    return fail(errno,
                path + ": " + std::strerror(errno) + (errno == ENOENT ? "; --create SIZE makes it" : ""));
  TRY(file.learn());
  if (file.size_ < kLeastSize)
    return fail(EINVAL,
                path + ": " + size_text(file.size_) + "; below 1 MiB it is not bytes that take the time");
  return file;
}

Result<BenchFile> BenchFile::scratch_beside(const std::string& path, uint64_t size) {
  BenchFile file;
  file.path_ = path.substr(0, path.rfind('/') + 1) + ".dmabuffs-bench-XXXXXX";
  file.fd_.reset(::mkostemp(file.path_.data(), O_CLOEXEC));
  if (!file.fd_) return fail_errno(errno, file.path_ + ": no scratch file for --write");
  file.temporary_ = true;
  if (const int error = ::posix_fallocate(file.fd_.get(), 0, static_cast<off_t>(size)); error != 0)
    return fail(error,
                file.path_ + ": no room for " + size_text(size) + " (--write): " + std::strerror(error));
  // Blocks that were never written cost the first run more than the others.
  TRY(fill_from(file, size, 1, [&](uint64_t offset, std::span<const std::byte> from) -> Result<void> {
    if (pwrite_all(file.fd(), from, offset) == static_cast<ssize_t>(from.size())) return {};
    return fail_errno(errno, file.path_);
  }));
  TRY(file.learn());
  return file;
}

BenchFile::~BenchFile() {
  if (temporary_ && fd_) (void)::unlink(path_.c_str());
}

std::optional<uint64_t> BenchFile::cached() const {
  return cached_bytes(fd_.get(), {0, size_});
}

std::optional<bool> BenchFile::drop() const {
  drop_pages(fd_.get());
  auto left = cached();
  if (left.value_or(0) > 0 && ::geteuid() == 0) {
    drop_all_pages();
    left = cached();
  }
  if (!left) return std::nullopt;
  return *left == 0;
}

Result<void> BenchFile::unchanged() const {
  struct stat st {};
  if (::fstat(fd_.get(), &st) != 0) return fail_errno(errno, path_);
  if (static_cast<uint64_t>(st.st_size) == size_ && st.st_mtim.tv_sec == changed_.tv_sec &&
      st.st_mtim.tv_nsec == changed_.tv_nsec)
    return {};
  return fail(EIO, path_ + ": changed while it was measured; use a file that nobody writes");
}

Result<void> BenchFile::read(uint64_t offset, std::span<std::byte> to) const {
  if (to.empty()) return {};
  // A direct read wants whole blocks, and ends where the file does.
  const bool direct = end_ && direct_fd() >= 0 && reinterpret_cast<uintptr_t>(to.data()) % kPage == 0;
  const std::span<std::byte> whole(to.data(), direct ? round_up(to.size(), kPage) : to.size());
  const ssize_t got = pread_all(direct ? direct_fd() : fd_.get(), whole, offset);
  if (got < 0) return fail_errno(errno, path_);
  if (static_cast<uint64_t>(got) < to.size())
    return fail(EIO, path_ + ": became shorter while it was measured");
  return {};
}

Result<void> BenchFile::spoil(uint64_t offset) const {
  std::byte one{};
  if (::pread(fd_.get(), &one, 1, static_cast<off_t>(offset)) != 1) return fail_errno(errno, path_);
  one ^= std::byte{1};
  if (::pwrite(fd_.get(), &one, 1, static_cast<off_t>(offset)) != 1) return fail_errno(errno, path_);
  return check_call(::fdatasync(fd_.get()), path_.c_str());
}

Result<void> create_file(const std::string& path, uint64_t size, const std::function<bool()>& interrupted) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd && errno == EEXIST) return {};
  if (!fd) return fail_errno(errno, path);
  const auto removed = [&path](Error error) {
    (void)::unlink(path.c_str());
    return Failure(std::move(error));
  };
  std::mt19937_64 random(std::random_device{}());
  std::vector<uint64_t> piece(kPiece / sizeof(uint64_t));
  for (uint64_t done = 0; done < size; done += kPiece) {
    for (uint64_t& word : piece) word = random();
    const auto bytes = std::as_bytes(std::span(piece)).first(std::min(kPiece, size - done));
    if (interrupted()) return removed({EINTR, "interrupted"});
    if (pwrite_all(fd.get(), bytes, done) != static_cast<ssize_t>(bytes.size()))
      return removed({errno, path + ": " + std::strerror(errno)});
  }
  if (::fsync(fd.get()) != 0) return removed({errno, path + ": " + std::strerror(errno)});
  return {};
}

Result<void> fill_from(const BenchFile& file, uint64_t length, uint64_t stamp, const Put& put) {
  const auto room = TRY(Mapping::anonymous(kPiece));
  for (uint64_t offset = 0; offset < length; offset += kPiece) {
    const auto piece = room.bytes().first(std::min(kPiece, length - offset));
    TRY(expected(file, offset, stamp, piece));
    TRY(put(offset, piece));
  }
  return {};
}

Result<void> check_content(const BenchFile& file, uint64_t length, uint64_t stamp, const Get& get) {
  const auto room = TRY(Mapping::anonymous(2 * kPiece));
  for (uint64_t offset = 0; offset < length; offset += kPiece) {
    const uint64_t bytes = std::min(kPiece, length - offset);
    const auto wanted = room.bytes().first(bytes), seen = room.bytes().subspan(kPiece, bytes);
    TRY(expected(file, offset, stamp, wanted));
    TRY(get(offset, seen));
    if (std::memcmp(wanted.data(), seen.data(), bytes) == 0) continue;
    const auto differs = std::mismatch(wanted.begin(), wanted.end(), seen.begin());
    return fail(EIO, "wrong content: byte " +
                         std::to_string(offset + static_cast<uint64_t>(differs.first - wanted.begin())) +
                         " is not the file's");
  }
  return {};
}

}  // namespace dmabuffs::cli::bench
