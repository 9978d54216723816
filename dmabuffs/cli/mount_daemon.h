// SPDX-License-Identifier: MIT
#pragma once
#include <sys/types.h>

#include <string>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/mount_table.h"

namespace dmabuffs::cli {

/// The daemon of a mount: something to wait for.
class MountDaemon {
 public:
  /// Asks control sockets, not the mount: that may hang. Nothing to wait for when nobody answers.
  explicit MountDaemon(const MountEntry& mount);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// True when it has ended (or was not known).
  [[nodiscard]] bool ended_within(int milliseconds) const;

 private:
  pid_t pid_ = 0;
  UniqueFd pidfd_;
};

}  // namespace dmabuffs::cli
