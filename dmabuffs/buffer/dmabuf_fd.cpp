// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/dmabuf_fd.h"

#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>

namespace dmabuffs {

uint64_t dmabuf_inode(int dmabuf_fd) {
  struct stat st {};
  return ::fstat(dmabuf_fd, &st) == 0 ? st.st_ino : 0;
}

std::string dmabuf_exporter(int dmabuf_fd) {
  static constexpr const char* kKey = "exp_name:";
  std::ifstream lines("/proc/self/fdinfo/" + std::to_string(dmabuf_fd));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kKey)) continue;
    const size_t value = line.find_first_not_of(" \t", std::strlen(kKey));
    return value == std::string::npos ? std::string() : line.substr(value);
  }
  return {};
}

void set_dmabuf_name(int dmabuf_fd, const std::string& name) {
  const std::string cut = name.substr(0, DMA_BUF_NAME_LEN - 1);
  (void)::ioctl(dmabuf_fd, DMA_BUF_SET_NAME_B, cut.c_str());
}

}  // namespace dmabuffs
