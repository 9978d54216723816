// SPDX-License-Identifier: MIT
/// The mounts of this process's namespace, whatever their type.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// A line of proc_pid_mountinfo(5).
struct MountEntry {
  int id = 0, parent = 0;
  dev_t device = 0;  ///< st_dev of its files
  std::string path;  ///< where it is mounted
  std::string type;  ///< "fuse.dmabuffs"
  uid_t owner = 0;   ///< of a FUSE mount: who mounted it
};

/// A path as that file has it (space, tab, newline and backslash as \ooo) in plain text.
std::string unescape(const std::string& text);
/// The user_id= among the options of a file system, its last word there; 0: there is none.
uid_t owner_in(const std::string& options);

std::vector<MountEntry> parse_mount_table(const std::string& mountinfo);
Result<std::vector<MountEntry>> read_mount_table();

/// The mount seen at `path` (mounts may lie on top of each other); nullptr: none is mounted just there.
const MountEntry* mounted_at(const std::vector<MountEntry>& table, const std::string& path);

/// `path` absolute, without "." or ".." or symbolic links in the directories that lead to it. Its last
/// component is not looked at: a mount whose daemon hangs or has died must not be asked.
Result<std::string> resolve_mountpoint(const std::string& path);

}  // namespace dmabuffs
