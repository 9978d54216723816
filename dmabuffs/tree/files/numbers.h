// SPDX-License-Identifier: MIT
#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

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

}  // namespace dmabuffs
