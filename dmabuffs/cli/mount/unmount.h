// SPDX-License-Identifier: MIT
#pragma once
#include <string>

#include "dmabuffs/base/result.h"

namespace dmabuffs::cli {

/// Unmounts for an ordinary user what the user mounted: by fusermount3, else by umount(8), which asks the
/// kernel and needs no /etc/mtab, without which fusermount3 does nothing. EBUSY; EPERM with what fusermount3
/// said; ENOENT: fusermount3 is missing, and umount(8) did not do it.
Result<void> unmount_as_user(const std::string& path, bool lazy);

}  // namespace dmabuffs::cli
