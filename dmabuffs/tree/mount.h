// SPDX-License-Identifier: MIT
/// One mount: its settings, and what all parts of the tree share.
#pragma once
#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/base/must_not_wait.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/shares.h"
#include "dmabuffs/transfer/engine.h"
#include "dmabuffs/tree/files/held.h"
#include "dmabuffs/tree/keep/keeper.h"
#include "dmabuffs/tree/node.h"
#include "dmabuffs/tree/passthrough.h"
#include "dmabuffs/tree/tickets.h"

namespace dmabuffs {

/// Memory on its way back: buffers are freed by other threads than those that answer the last close or `rm`,
/// and the kernel tells of both only after the caller has gone on. Who is short of memory waits for them
/// rather than be refused. Thread-safe; outlives what it hands out.
class Freeing {
 public:
  using Clock = std::chrono::steady_clock;
  /// How long after `rm` or close the kernel's word may take on a busy machine; a buffer that is still there
  /// then is held open.
  static constexpr auto kGrace = std::chrono::seconds(1);

  static constexpr unsigned kMostRenewals = 3;

  /// Something that will be freed soon, or is held open: as long as this lives, it is there.
  class Expected {
   public:
    Expected(Freeing& freeing, uint64_t id) : freeing_(freeing), id_(id) {}
    ~Expected() { freeing_.came(id_); }
    Expected(const Expected&) = delete;
    Expected& operator=(const Expected&) = delete;
    /// There is a new reason to expect it: the grace starts again. A few times only, for the reason may be
    /// wrong each time: every child of a shell closes what it inherited, and the shell holds it still.
    void renew() {
      if (renewals_.fetch_add(1) < kMostRenewals) freeing_.renew(id_);
    }

   private:
    Freeing& freeing_;
    uint64_t id_;
    std::atomic<unsigned> renewals_{0};
  };

  /// Something is being freed, as long as the token lives.
  std::shared_ptr<void> begin() {
    const std::lock_guard lock(mutex_);
    leaving_[++last_id_] = Clock::time_point::max();
    return std::make_shared<Expected>(*this, last_id_);
  }
  std::unique_ptr<Expected> expect() {
    const std::lock_guard lock(mutex_);
    leaving_[++last_id_] = Clock::now() + kGrace;
    return std::make_unique<Expected>(*this, last_id_);
  }

  /// Waits, `limit` at most, until all has been freed that was being freed or expected before the call. True
  /// when anything was. On a thread that must not wait it puts that off, and is false.
  bool wait(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    const auto deadline = Clock::now() + limit;
    const uint64_t freed_before = freed_, last = last_id_;
    for (;;) {
      const auto now = Clock::now();
      auto until = Clock::time_point::min();
      for (auto it = leaving_.begin(); it != leaving_.end() && it->first <= last; ++it)
        until = std::max(until, it->second);
      until = std::min(until, deadline);
      if (until <= now) break;
      if (MustNotWait::here()) {
        MustNotWait::put_off();
        break;
      }
      changed_.wait_until(lock, until);
    }
    return freed_ > freed_before;
  }

 private:
  void came(uint64_t id) {
    const std::lock_guard lock(mutex_);
    leaving_.erase(id);
    ++freed_;
    changed_.notify_all();
  }
  void renew(uint64_t id) {
    const std::lock_guard lock(mutex_);
    leaving_[id] = Clock::now() + kGrace;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t last_id_ = 0, freed_ = 0;
  std::map<uint64_t, Clock::time_point> leaving_;  // by id: until when it is worth waiting for
};

struct FilesOption {
  std::string name;       ///< directory below files/
  std::string directory;  ///< absolute host path
  bool read_only = false;
};

struct MountSettings {
  std::string mountpoint;  ///< absolute
  std::vector<FilesOption> files;
  std::vector<HeapOption> heaps;  ///< empty: all that are found
  bool require_direct = false;
  bool allow_other = false;
  bool allow_root = false;
  bool read_only = false;
  bool auto_unmount = true;
  bool xattr = false;
  bool passthrough = true;     ///< where it is possible
  bool private_mount = false;  ///< only for `exec`'s command
  bool foreground = false;
  bool debug = false;
  uint64_t size = 0;     ///< bytes; 0: half of RAM
  uint64_t recycle = 0;  ///< bytes of removed buffers kept
  std::string fsname = "dmabuffs";
  std::vector<std::string> fuse_options;  ///< handed to libfuse / the kernel as they are (noatime, nodev, …)
};

/// What the rooms of a mount share. Outlives every node.
struct MountContext {
  explicit MountContext(MountSettings s);
  MountSettings settings;
  std::unique_ptr<Keeper> keeper;  ///< nullptr: nothing outlives this program
  Budget budget;
  Shares shares;
  Recycler recycler;
  Freeing freeing;
  Engine engine;
  std::unique_ptr<HeapRegistry> heaps;
  InodeNumbers numbers;
  /// Those of files/ are used up faster, one with nearly every lookup, and no program sees them.
  InodeNumbers files_nodes{uint64_t{1} << 32};
  FilesNumbers files_numbers;
  MountTypes mount_types;
  Tickets tickets;
  uid_t owner_uid;
  gid_t owner_gid;
  /// st_dev of the mount itself once it is mounted (0 before): files/ refuses to enter it.
  std::atomic<uint64_t> own_device{0};
  /// Path of the control socket, set once by ControlSocket::make; empty: there is none.
  std::string control_socket;
  /// Bytes read and written through the daemon (not transfers).
  std::atomic<uint64_t> read_bytes{0}, written_bytes{0};
  std::atomic<uint64_t> passthrough_opens{0};
  Passthrough passthrough;
  std::string libfuse;  ///< its version
  /// Has the kernel forget the attributes of a node that changed without a request of its own. Set by the
  /// session, called while it lives.
  std::function<void(const Node&)> changed_unasked = [](const Node&) {};
};

}  // namespace dmabuffs
