// SPDX-License-Identifier: MIT
#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

struct AttributeChange;

/// Owner, mode and times of a node the mount keeps itself.
struct Attributes {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t mode = 0;  ///< with the file type
  struct timespec atime {
  }, mtime{}, ctime{};

  /// All three times now.
  static Attributes now(uid_t uid, gid_t gid, mode_t mode);
  void touch();         ///< mtime and ctime: contents changed
  void touch_change();  ///< ctime: attributes changed
  /// What `change` says but for the size; of its mode the bits in `kept`.
  void apply(const AttributeChange& change, mode_t kept);
  /// A stat with these, nothing else but ino, nlink and st_blksize set.
  [[nodiscard]] struct stat to_stat(uint64_t ino, nlink_t nlink) const;
};

struct timespec time_now();
bool later(const struct timespec& a, const struct timespec& b);

/// Told to programs as the unit worth reading and writing: one FUSE request of the largest size.
inline constexpr blksize_t kBlockSize = 1 << 20;

/// Whether `caller` (with `groups`, its supplementary groups) may `mask` (4 read, 2 write, 1 search) by mode
/// bits.
bool permitted(const struct stat& attributes, uid_t uid, gid_t gid, const std::vector<gid_t>& groups,
               int mask);

}  // namespace dmabuffs
