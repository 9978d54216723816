// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/files/held.h"

#include <pthread.h>

#include <utility>

#include "dmabuffs/base/blocked_signals.h"

// Whatever is let go is closed when the mutex is free again, since that may take long.

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

FilesHeld::FilesHeld(size_t most, std::chrono::milliseconds patience) : most_(most), patience_(patience) {
  if (patience_.count() == 0) return;
  // Signals belong to the thread that waits for them.
  const AllSignalsBlocked blocked;
  keeper_ = std::thread([this] { keep_house(); });
}

FilesHeld::~FilesHeld() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (keeper_.joinable()) keeper_.join();
}

SharedFd FilesHeld::use(Place& place) {
  const std::lock_guard lock(mutex_);
  if (place.fd) touch(place);
  return place.fd;
}

void FilesHeld::hold(Place& place, SharedFd fd) {
  SharedFd old;
  const std::lock_guard lock(mutex_);
  if (place.fd) {
    old = std::exchange(place.fd, std::move(fd));
  } else {
    if (order_.size() >= most_ && !order_.empty()) old = let_go_last();
    place.fd = std::move(fd);
    place.at = order_.insert(order_.begin(), &place);
    if (order_.size() == 1) changed_.notify_all();
  }
  touch(place);
}

void FilesHeld::drop(Place& place) {
  SharedFd old;
  const std::lock_guard lock(mutex_);
  if (place.fd) order_.erase(place.at);
  old = std::move(place.fd);
}

void FilesHeld::touch(Place& place) {
  place.used = Clock::now();
  order_.splice(order_.begin(), order_, place.at);
}

SharedFd FilesHeld::let_go_last() {
  SharedFd old = std::move(order_.back()->fd);
  order_.pop_back();
  return old;
}

void FilesHeld::keep_house() {
  pthread_setname_np(pthread_self(), "files-held");
  std::unique_lock lock(mutex_);
  while (!closing_) {
    if (order_.empty()) {
      changed_.wait(lock, [this] { return closing_ || !order_.empty(); });
      continue;
    }
    const auto until = order_.back()->used + patience_;
    if (until > Clock::now()) {
      changed_.wait_until(lock, until, [this] { return closing_; });
      continue;
    }
    SharedFd old = let_go_last();
    lock.unlock();
    old.reset();
    lock.lock();
  }
}

}  // namespace dmabuffs
