// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/dmabuf_fd.h"

#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
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

std::string cut_dmabuf_name(const std::string& name) {
  size_t length = std::min<size_t>(name.size(), DMA_BUF_NAME_LEN - 1);
  const auto continues = [&](size_t at) {
    return at < name.size() && (static_cast<unsigned char>(name[at]) & 0xc0) == 0x80;
  };
  // A character of UTF-8 is four bytes at most; a name that is no UTF-8 is cut where it has to be.
  for (unsigned back = 0; back < 4 && length > back; ++back)
    if (!continues(length - back)) return name.substr(0, length - back);
  return name.substr(0, length);
}

void set_dmabuf_name(int dmabuf_fd, const std::string& name) {
  (void)::ioctl(dmabuf_fd, DMA_BUF_SET_NAME_B, cut_dmabuf_name(name).c_str());
}

}  // namespace dmabuffs
