// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <mutex>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// Backing files registered with the kernel for FUSE passthrough: one a node while any open of it holds it,
/// because the kernel refuses a second backing for one inode, and an open without one beside it
/// (fs/fuse/iomode.c). Thread-safe.
class Passthrough {
 public:
  /// How a backing file is registered and given back.
  struct Kernel {
    std::function<Result<int>(int fd)> open;
    std::function<void(int id)> close;
  };
  /// Off until INIT has agreed on it.
  void enable(Kernel kernel);
  [[nodiscard]] bool enabled() const { return enabled_; }
  /// The same, but the kernel is asked where no open has done so yet: INIT agrees to more than it gives a
  /// daemon without rights. Not before the reply to INIT.
  bool possible();
  /// The backing id for an open of `node`: the one that its other opens have, else made from `fd` (-1: this
  /// open may not be the first). 0: not possible, use the daemon.
  int acquire(uint64_t node, int fd);
  /// An open of `node` that acquired has gone.
  void release(uint64_t node);

 private:
  struct Backing {
    int id = 0;
    unsigned opens = 0;
  };
  int register_backing(int fd);

  std::atomic<bool> enabled_{false};
  bool tried_ = false;  // what enabled_ says is the kernel's own word
  Kernel kernel_;
  std::mutex mutex_;
  std::map<uint64_t, Backing> backings_;
};

}  // namespace dmabuffs
