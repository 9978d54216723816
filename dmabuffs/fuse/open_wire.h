// SPDX-License-Identifier: MIT
#pragma once
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dmabuffs {

/// The bytes of an OPEN reply (struct fuse_open_out of the kernel's <linux/fuse.h>).
std::vector<std::byte> wire_open(uint64_t handle, bool direct_io);
/// The bytes of a CREATE reply: struct fuse_entry_out, then struct fuse_open_out.
std::vector<std::byte> wire_create(uint64_t node, const struct stat& attributes, double entry_timeout,
                                   double attribute_timeout, uint64_t handle, bool direct_io);

}  // namespace dmabuffs
