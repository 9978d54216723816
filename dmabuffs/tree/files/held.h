// SPDX-License-Identifier: MIT
#pragma once
#include <chrono>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// A descriptor that several hold.
using SharedFd = std::shared_ptr<const UniqueFd>;

/// Descriptors (O_PATH) that nodes hold: those used last, as many as there is room for. Thread-safe.
class FilesHeld {
 public:
  using Clock = std::chrono::steady_clock;

  /// A node's place for its descriptor; to be dropped before it goes.
  struct Place {
    SharedFd fd;
    Clock::time_point used;
    std::list<Place*>::iterator at;
  };

  /// `patience`: what was not used for so long is let go; zero: nothing is for that.
  FilesHeld(size_t most, std::chrono::milliseconds patience);
  ~FilesHeld();
  FilesHeld(const FilesHeld&) = delete;
  FilesHeld& operator=(const FilesHeld&) = delete;

  /// nullptr: the place is empty, because nothing was put there or it was let go.
  SharedFd use(Place& place);
  /// Takes the place of what was held there before.
  void hold(Place& place, SharedFd fd);
  void drop(Place& place);

 private:
  void touch(Place& place);
  SharedFd let_go_last();
  void keep_house();

  const size_t most_;
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::list<Place*> order_;  // those with a descriptor, the last used first
  std::condition_variable changed_;
  bool closing_ = false;
  std::thread keeper_;
};

}  // namespace dmabuffs
