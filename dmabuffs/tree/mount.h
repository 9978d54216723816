// SPDX-License-Identifier: MIT
/// One mount: its settings, the parts every room shares, and the way to run it.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dmabuffs/base/mount_types.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/shares.h"
#include "dmabuffs/transfer/engine.h"
#include "dmabuffs/tree/files/numbers.h"
#include "dmabuffs/tree/freeing.h"
#include "dmabuffs/tree/node.h"
#include "dmabuffs/tree/passthrough.h"
#include "dmabuffs/tree/tickets.h"

namespace dmabuffs {

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
};

}  // namespace dmabuffs
