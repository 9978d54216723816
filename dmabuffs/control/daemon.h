// SPDX-License-Identifier: MIT
#pragma once
#include <sys/types.h>

#include <string>

#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// The daemon of a mount: something to wait for.
class MountDaemon {
 public:
  /// Asks control sockets, not the mount: that may hang. Nothing to wait for when nobody answers.
  explicit MountDaemon(const MountEntry& mount);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// False: it is known, and said nothing when it was asked.
  [[nodiscard]] bool answers() const { return answers_; }
  /// True when it has ended (or was not known).
  [[nodiscard]] bool ended_within(int milliseconds) const;

 private:
  pid_t pid_ = 0;
  bool answers_ = true;
  UniqueFd pidfd_;
};

/// Of a daemon that says nothing: "its daemon (process 12) is stopped; `kill -CONT 12` lets it go on".
std::string silence_of(pid_t daemon);

}  // namespace dmabuffs
