// SPDX-License-Identifier: MIT
/// The directory a mount is to be made on.
#pragma once
#include <string>

#include "dmabuffs/fs/mount.h"

namespace dmabuffs::cli {

/// The mount point as the kernel will name it, free to be mounted on: a mount whose daemon has died is taken
/// away.
Result<std::string> prepare_mountpoint(const std::string& given);

/// After the kernel or fusermount3 refused to mount: the reason and the remedy, as far as they can be told.
std::string why_not_mounted(const MountSettings& settings);

/// Whether this text of /etc/fuse.conf lets ordinary users mount with allow_other (and allow_root).
bool lets_users_allow_other(const std::string& fuse_conf);

}  // namespace dmabuffs::cli
