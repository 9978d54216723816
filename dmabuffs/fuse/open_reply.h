// SPDX-License-Identifier: MIT
/// OPEN and CREATE replies. libfuse 3.14's fuse_file_info has no field for FOPEN_PARALLEL_DIRECT_WRITES
/// (Linux 6.2), without which two writers of one file take turns; its replies are put together here by hand.
#pragma once
#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dmabuffs {

struct OpenReply {
  uint64_t handle = 0;
  bool direct_io = true;  ///< reads and writes come to the daemon, past the kernel's cache
  /// > 0: FUSE passthrough (libfuse >= 3.17); with direct_io of mappings only.
  int backing_id = 0;
};

/// Answers OPEN; returns as fuse_reply_open.
int reply_open(fuse_req_t request, fuse_file_info info, const OpenReply& reply);
/// Answers CREATE; returns as fuse_reply_create.
int reply_create(fuse_req_t request, const fuse_entry_param& entry, fuse_file_info info,
                 const OpenReply& reply);

/// The bytes of an OPEN reply (struct fuse_open_out of the kernel's <linux/fuse.h>).
std::vector<std::byte> wire_open(uint64_t handle, bool direct_io);
/// The bytes of a CREATE reply: struct fuse_entry_out, then struct fuse_open_out.
std::vector<std::byte> wire_create(uint64_t node, const struct stat& attributes, double entry_timeout,
                                   double attribute_timeout, uint64_t handle, bool direct_io);

}  // namespace dmabuffs
