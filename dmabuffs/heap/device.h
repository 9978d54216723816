// SPDX-License-Identifier: MIT
/// The device nodes that heaps stand on, and the dma-bufs they make.
#pragma once
#include <string>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

/// Opens `node` for reading and writing. EACCES says who may and the remedy, ENODEV that it is gone.
Result<UniqueFd> open_node(const std::string& node);

/// The directory bits that go with the node's owner, group and mode (r gives r and x, w gives w), and the
/// sticky bit: who may make buffers may still not remove another's. Where only an ACL lets the daemon's own
/// user in (udev's "uaccess" for whoever sits at the machine), he is made the owner: mode bits can't say it
/// otherwise. ENODEV: gone.
Result<HeapAccess> node_access(const std::string& node);

/// As much of a file's name as the kernel keeps of a dma-buf's (31 bytes), in whole characters of UTF-8.
std::string cut_dmabuf_name(const std::string& name);
/// DMA_BUF_SET_NAME. Best effort: a name is for people.
void name_dmabuf(int dmabuf, const std::string& name);

/// Bytes of it; 0: it is no dma-buf. Asks nothing that a file system in user space could answer, or keep
/// waiting.
uint64_t size_if_dmabuf(int fd);

/// "exp_name" of /proc/self/fdinfo/N: "udmabuf", "system", …; empty when it is no dma-buf.
std::string dmabuf_exporter(int dmabuf_fd);
/// What name_dmabuf() or anybody else named it, up to a newline; empty without a name.
std::string dmabuf_name(int dmabuf_fd);
/// How many hold the dma-buf: descriptors (one for all that were dup(2)ed from each other), mappings,
/// importers. 1: nothing but this descriptor. UINT64_MAX: it can't be told.
uint64_t dmabuf_references(int dmabuf_fd);

}  // namespace dmabuffs
