// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/files/numbers.h"

namespace dmabuffs {
namespace {

constexpr unsigned kWindowBits = 24;
constexpr uint64_t kInWindow = (uint64_t{1} << kWindowBits) - 1;
/// A server that gives its inodes random numbers needs a window for each: beyond these the window is a hash.
constexpr size_t kMostWindows = 1 << 14;
constexpr unsigned kHashBits = 28;
constexpr uint64_t kHashed = uint64_t{1} << (kWindowBits + kHashBits);

bool equal(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

uint64_t FilesNumbers::shown(dev_t device, uint64_t inode) {
  const std::pair<dev_t, uint64_t> key{device, inode >> kWindowBits};
  const std::lock_guard lock(mutex_);
  auto found = windows_.find(key);
  if (found == windows_.end() && windows_.size() < kMostWindows)
    found = windows_.emplace(key, (kFirstShownInode >> kWindowBits) + windows_.size()).first;
  if (found != windows_.end()) return found->second << kWindowBits | (inode & kInWindow);
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
  const uint64_t mixed = ((key.second + 1) * kGolden) ^ ((device + 1) * (kGolden << 1 | 1));
  return kHashed | (mixed * kGolden >> (64 - kHashBits)) << kWindowBits | (inode & kInWindow);
}

bool same_shown_file(const struct stat& a, const struct stat& b) {
  return ((a.st_ino ^ b.st_ino) & kInWindow) == 0 && a.st_size == b.st_size && equal(a.st_mtim, b.st_mtim) &&
         equal(a.st_ctim, b.st_ctim);
}

}  // namespace dmabuffs
