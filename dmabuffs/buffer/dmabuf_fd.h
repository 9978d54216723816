// SPDX-License-Identifier: MIT
/// What can be asked of a dma-buf's descriptor.
#pragma once
#include <cstdint>
#include <string>

namespace dmabuffs {

/// The inode number that fdinfo and debugfs' bufinfo show; 0 when it can't be told.
uint64_t dmabuf_inode(int dmabuf_fd);
/// "exp_name" of /proc/self/fdinfo/N: "udmabuf", "system", …; empty when it is no dma-buf.
std::string dmabuf_exporter(int dmabuf_fd);
/// DMA_BUF_SET_NAME, cut to the 31 bytes the kernel keeps. Best effort: a name is for people.
void set_dmabuf_name(int dmabuf_fd, const std::string& name);

}  // namespace dmabuffs
