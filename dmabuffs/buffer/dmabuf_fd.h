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
/// As much of a file's name as the kernel keeps of a dma-buf's (31 bytes), in whole characters of UTF-8.
std::string cut_dmabuf_name(const std::string& name);
/// DMA_BUF_SET_NAME. Best effort: a name is for people.
void set_dmabuf_name(int dmabuf_fd, const std::string& name);

}  // namespace dmabuffs
