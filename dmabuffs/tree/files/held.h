// SPDX-License-Identifier: MIT
#pragma once
#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// st_ino of what files/ shows. The host's own would not do: within one mount it may equal that of a buffer
/// or of a file on another host file system, and `cp` takes two files of one number for one. So the device
/// and all but the lowest bits of the host's number are replaced by the number of a window, counted in the
/// order in which they are first seen: a file keeps its number for as long as the mount lives, known to the
/// kernel or not, all its links have the same, and the directory that lists it can tell it.
///
/// The first windows lie below 2^32, for 32-bit programs, and all below 2^53, for those that keep numbers as
/// floating point. Thread-safe.
class FilesNumbers {
 public:
  uint64_t shown(dev_t device, uint64_t inode);

 private:
  std::mutex mutex_;
  std::map<std::pair<dev_t, uint64_t>, uint64_t> windows_;
};

/// All numbers in files/ are at least this, those of the mount's other nodes less.
inline constexpr uint64_t kFirstShownInode = uint64_t{1} << 31;

/// Whether two files, of which at least one is shown by a mount of this kind (not both by the same one), are
/// one file of the host: what stays of its number, its size and its times of change agree.
bool same_shown_file(const struct stat& a, const struct stat& b);

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
