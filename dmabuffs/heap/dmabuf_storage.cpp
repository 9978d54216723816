// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/dmabuf_storage.h"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "dmabuffs/base/fdinfo.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

DmabufStorage::DmabufStorage(UniqueFd dmabuf, uint64_t bytes, Reservation reservation, uint64_t huge_bytes)
    : dmabuf_(std::move(dmabuf)),
      bytes_(bytes),
      huge_bytes_(huge_bytes),
      reservation_(std::move(reservation)) {}

Result<void> DmabufStorage::resize(uint64_t capacity) {
  if (capacity == bytes_) return {};
  return fail(EBUSY, "a dma-buf can't change its size");
}

Result<void> DmabufStorage::publish(const std::string& name) {
  name_dmabuf(dmabuf_.get(), name);
  return {};
}

Result<std::span<std::byte>> DmabufStorage::map() {
  const std::lock_guard lock(mutex_);
  if (mapping_) return mapping_.bytes();
  const bool read_only = (::fcntl(dmabuf_.get(), F_GETFL) & O_ACCMODE) == O_RDONLY;
  auto mapped = Mapping::of_file(dmabuf_.get(), 0, bytes_, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
  if (!mapped && mapped.error().code != ENOMEM)
    return fail(
        EIO, std::string("dma-buf: its memory is not for the CPU, the exporter does not let it be mapped (") +
                 std::strerror(mapped.error().code) +
                 "); devices can use it: hand it to a program by `dmabuffs exec`");
  mapping_ = TRY(about("dma-buf", std::move(mapped)));
  return mapping_.bytes();
}

void DmabufStorage::unmap() {
  const std::lock_guard lock(mutex_);
  mapping_.reset();
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

void name_dmabuf(int dmabuf, const std::string& name) {
  (void)::ioctl(dmabuf, DMA_BUF_SET_NAME_B, cut_dmabuf_name(name).c_str());
}

namespace {

/// A line of its fdinfo (dma_buf_show_fdinfo); empty when it has none.
std::string told(int fd, const std::string& key) {
  return read_fdinfo("/proc/self/fdinfo/" + std::to_string(fd))[key];
}

}  // namespace

std::string dmabuf_exporter(int dmabuf_fd) {
  return told(dmabuf_fd, "exp_name");
}

uint64_t size_if_dmabuf(int fd) {
  const off_t end = dmabuf_exporter(fd).empty() ? 0 : ::lseek(fd, 0, SEEK_END);
  return end > 0 ? static_cast<uint64_t>(end) : 0;
}

std::string dmabuf_name(int dmabuf_fd) {
  return told(dmabuf_fd, "name");
}

uint64_t dmabuf_references(int dmabuf_fd) {
  const std::string count = told(dmabuf_fd, "count");
  return count.empty() ? std::numeric_limits<uint64_t>::max() : std::strtoull(count.c_str(), nullptr, 10);
}

}  // namespace dmabuffs
