// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>
#include <map>
#include <mutex>

#include "dmabuffs/fs/fuse_version.h"

namespace dmabuffs {

/// Backing files registered with the kernel for FUSE passthrough: one a node while any open of it holds it, because
/// the kernel refuses a second backing for one inode (fs/fuse/iomode.c). Thread-safe.
class Passthrough {
 public:
  /// Off until INIT has agreed on it.
  void enable() { enabled_ = true; }
  [[nodiscard]] bool enabled() const { return enabled_; }
  /// The backing id for an open of `node`, made from `fd` when the node has none yet; 0: not possible, use the daemon.
  int acquire(fuse_req_t request, uint64_t node, int fd);
  /// An open of `node` that acquired has gone.
  void release(fuse_req_t request, uint64_t node);
  /// True while the node has an open with passthrough: every other open must have it too.
  [[nodiscard]] bool active(uint64_t node) const;

 private:
  struct Backing {
    int id = 0;
    unsigned opens = 0;
  };
  std::atomic<bool> enabled_{false};
  mutable std::mutex mutex_;
  std::map<uint64_t, Backing> backings_;
};

}  // namespace dmabuffs
