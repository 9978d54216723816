// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// File system types of the mounts that the first caller sees (a daemon's threads all see the same), from the
/// kernel's table alone: statfs(2) on a FUSE mount is a request to its daemon, who may never answer.
/// Thread-safe.
class MountTypes {
 public:
  /// The type of the mount with this STATX_MNT_ID ("ext4", "fuse.sshfs"); empty: there is no such mount, or
  /// the table can't be read.
  std::string type_of(uint64_t mount_id);

 private:
  bool changed();
  void read_table();

  std::mutex mutex_;
  UniqueFd table_;
  std::map<uint64_t, std::string> types_;
};

/// Served by a process, which may be anybody's.
bool is_fuse(const std::string& type);

}  // namespace dmabuffs
