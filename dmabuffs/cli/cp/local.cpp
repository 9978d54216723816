// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/cp/local.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <vector>

namespace dmabuffs::cli {

namespace {

constexpr size_t kPiece = 16 << 20;  // a few dozen milliseconds between looks at the keyboard
constexpr size_t kBuffer = 1 << 20;

/// What copy_file_range(2) answers when it can't serve this pair of files at all.
bool means_not_here(int code) {
  for (const int known : {EXDEV, EINVAL, EOPNOTSUPP, ENOSYS, EPERM, EBADF, ETXTBSY})
    if (code == known) return true;
  return false;
}

Result<void> interrupted() {
  return fail(EINTR, "interrupted");
}

/// Copies what it can; stops without error where read and write have to go on.
Result<void> by_copy_file_range(const LocalCopy& copy, uint64_t& done) {
  while (true) {
    const ssize_t moved = ::copy_file_range(copy.from, nullptr, copy.to, nullptr, kPiece, 0);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0 && done == 0 && means_not_here(errno)) return {};
    if (moved < 0) return fail_errno(errno, "copy");
    if (moved == 0) return {};
    done += static_cast<uint64_t>(moved);
    copy.progress(done);
    if (copy.interrupted()) return interrupted();
  }
}

Result<void> write_all(int to, const char* data, size_t length, uint64_t& done) {
  while (length > 0) {
    const ssize_t wrote = ::write(to, data, length);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail_errno(errno, "write");
    data += wrote;
    length -= static_cast<size_t>(wrote);
    done += static_cast<uint64_t>(wrote);
  }
  return {};
}

/// A pipe may have nothing for a long time.
bool wait_for_data(const LocalCopy& copy) {
  constexpr int kLookMs = 100;
  pollfd polled{copy.from, POLLIN, 0};
  while (true) {
    if (copy.interrupted()) return false;
    if (::poll(&polled, 1, kLookMs) != 0) return true;  // an error shows itself in read
  }
}

Result<void> by_read_and_write(const LocalCopy& copy, uint64_t& done) {
  std::vector<char> buffer(kBuffer);
  while (true) {
    if (!wait_for_data(copy)) return interrupted();
    const ssize_t got = ::read(copy.from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read");
    if (got == 0) return {};
    if (copy.require_direct) return fail(EIO, "can't be copied directly (--require-direct)");
    TRY(write_all(copy.to, buffer.data(), static_cast<size_t>(got), done));
    copy.progress(done);
  }
}

}  // namespace

Result<void> copy_locally(const LocalCopy& copy, LocalBytes& bytes) {
  TRY(by_copy_file_range(copy, bytes.file_copy));
  // Also at its end: files of /proc end for copy_file_range before they begin.
  return by_read_and_write(copy, bytes.buffered);
}

}  // namespace dmabuffs::cli
