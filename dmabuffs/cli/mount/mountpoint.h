// SPDX-License-Identifier: MIT
/// The directory a mount is to be made on.
#pragma once
#include <string>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/tree/mount.h"

namespace dmabuffs::cli {

/// A directory that is free to be mounted on.
struct Mountpoint {
  std::string path;  ///< as the kernel will name it
  /// Held until it is mounted on: of two commands at once one waits here, and then finds it taken. Invalid
  /// where the directory can't be opened or locked.
  UniqueFd lock;
};

/// A mount whose daemon has died is taken away. EBUSY: another dmabuffs mount is there.
Result<Mountpoint> prepare_mountpoint(const std::string& given);

/// After the kernel or fusermount3 refused to mount: the reason and the remedy, as far as they can be told.
std::string why_not_mounted(const MountSettings& settings);

/// Whether this text of /etc/fuse.conf lets ordinary users mount with allow_other (and allow_root).
bool lets_users_allow_other(const std::string& fuse_conf);

}  // namespace dmabuffs::cli
