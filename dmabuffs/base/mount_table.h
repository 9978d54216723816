// SPDX-License-Identifier: MIT
/// The mounts of this process's namespace, whatever their type, and what they are asked for.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// A line of proc_pid_mountinfo(5).
struct MountEntry {
  int id = 0, parent = 0;
  dev_t device = 0;     ///< st_dev of its files
  std::string root;     ///< what of it is mounted: "/" unless that is a bind mount of a part
  std::string path;     ///< where it is mounted
  std::string type;     ///< "fuse.dmabuffs"
  std::string source;   ///< what is mounted: "/dev/sda2", or any text
  std::string options;  ///< of the file system
  uid_t owner = 0;      ///< of a FUSE mount: who mounted it
};

std::vector<MountEntry> parse_mount_table(const std::string& mountinfo);
Result<std::vector<MountEntry>> read_mount_table();

/// The mount seen at `path` (mounts may lie on top of each other); nullptr: none is mounted just there.
const MountEntry* mounted_at(const std::vector<MountEntry>& table, const std::string& path);

/// `path` absolute, without "." or ".." or symbolic links in the directories that lead to it. Its last
/// component is not looked at: a mount whose daemon hangs or has died must not be asked.
Result<std::string> resolve_mountpoint(const std::string& path);

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
