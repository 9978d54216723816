// SPDX-License-Identifier: MIT
// What the tests of the kernel module share: its ioctls, dma-bufs of every exporter at hand, and a directory
// with direct I/O in $T (tests/guest/kernel.sh).
#pragma once
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "catch.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/unique_fd.h"
#include "kernel/dmabuf_file.h"

namespace kernel {

using dmabuffs::Mapping;
using dmabuffs::UniqueFd;
using Segment = dmabuf_file_segment;

constexpr size_t kPage = 4096;
constexpr size_t kHuge = size_t{2} << 20;

inline int device() {
  static const UniqueFd fd(::open(DMABUF_FILE_DEVICE, O_RDWR | O_CLOEXEC));
  return fd.get();
}

/// 0 or an errno.
template <class Argument>
int call(unsigned long command, Argument& argument) {
  if (argument.size == 0) argument.size = sizeof argument;
  return ::ioctl(device(), command, &argument) == 0 ? 0 : errno;
}

inline std::string directory() {
  const char* path = std::getenv("T");
  return path != nullptr ? path : "/tmp";
}

inline UniqueFd open_file(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  INFO(path << ": " << std::strerror(errno));
  REQUIRE(fd);
  return fd;
}

inline std::vector<char> random_bytes(size_t length, unsigned seed = 1) {
  std::vector<char> bytes(length);
  std::mt19937_64 random(seed);
  size_t at = 0;
  for (; at + 8 <= length; at += 8) {
    const uint64_t word = random();
    std::memcpy(&bytes[at], &word, 8);
  }
  for (; at < length; ++at) bytes[at] = static_cast<char>(random());
  return bytes;
}

/// Not ==, of which a failed CHECK would print both sides.
inline bool same(const std::vector<char>& a, const std::vector<char>& b) {
  return a == b;
}

/// A file below directory() that goes with this.
class File {
 public:
  explicit File(const std::vector<char>& content, int flags = O_RDWR) : path_(directory() + "/file") {
    UniqueFd fd = open_file(path_, O_RDWR | O_CREAT | O_TRUNC);
    REQUIRE(::pwrite(fd.get(), content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
    REQUIRE(::fsync(fd.get()) == 0);
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
    fd_ = open_file(path_, flags);
  }
  ~File() { ::unlink(path_.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::vector<char> content() const {
    struct stat st {};
    REQUIRE(::fstat(fd_.get(), &st) == 0);
    std::vector<char> bytes(static_cast<size_t>(st.st_size));
    const UniqueFd reader = open_file(path_, O_RDONLY);
    REQUIRE(::pread(reader.get(), bytes.data(), bytes.size(), 0) == st.st_size);
    return bytes;
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

/// A dma-buf, and its bytes as mmap(2) of itself shows them.
class Buffer {
 public:
  explicit Buffer(UniqueFd fd) : fd_(std::move(fd)) {
    REQUIRE(fd_);
    const off_t length = ::lseek(fd_.get(), 0, SEEK_END);
    REQUIRE(length > 0);
    auto mapped = Mapping::of_file(fd_.get(), 0, static_cast<size_t>(length), PROT_READ | PROT_WRITE);
    REQUIRE(mapped);
    mapping_ = std::move(*mapped);
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] size_t size() const { return mapping_.size(); }
  [[nodiscard]] std::vector<char> content() const {
    sync(DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
    std::vector<char> bytes(size());
    std::memcpy(bytes.data(), mapping_.data(), size());
    sync(DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
    return bytes;
  }
  void fill(const std::vector<char>& bytes) const {
    sync(DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
    std::memcpy(mapping_.data(), bytes.data(), std::min(size(), bytes.size()));
    sync(DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
  }

 private:
  void sync(uint64_t flags) const {
    dma_buf_sync request{flags};
    REQUIRE(::ioctl(fd_.get(), DMA_BUF_IOCTL_SYNC, &request) == 0);
  }
  UniqueFd fd_;
  Mapping mapping_;
};

inline UniqueFd heap_dmabuf(size_t length, const char* heap = "/dev/dma_heap/system") {
  const UniqueFd fd = open_file(heap, O_RDWR);
  dma_heap_allocation_data data{};
  data.len = length;
  data.fd_flags = O_RDWR | O_CLOEXEC;
  REQUIRE(::ioctl(fd.get(), DMA_HEAP_IOCTL_ALLOC, &data) == 0);
  return UniqueFd(static_cast<int>(data.fd));
}

inline UniqueFd udmabuf(size_t length, bool huge) {
  const UniqueFd memfd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0U)));
  REQUIRE(memfd);
  REQUIRE(::ftruncate(memfd.get(), static_cast<off_t>(length)) == 0);
  REQUIRE(::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  // Linux 6.12 would take a huge page that is not there yet from reservations that nobody made, and count
  // these below zero: kernel BUG with CONFIG_DEBUG_VM.
  const auto mapped = Mapping::of_file(memfd.get(), 0, length, PROT_READ | PROT_WRITE);
  REQUIRE(mapped);
  REQUIRE(dmabuffs::populate(mapped->bytes()));
  const UniqueFd device = open_file("/dev/udmabuf", O_RDWR);
  udmabuf_create request{static_cast<uint32_t>(memfd.get()), UDMABUF_FLAGS_CLOEXEC, 0, length};
  UniqueFd made(::ioctl(device.get(), UDMABUF_CREATE, &request));
  INFO("UDMABUF_CREATE: " << std::strerror(errno));
  REQUIRE(made);
  return made;
}

inline UniqueFd own_dmabuf(size_t length) {
  dmabuf_file_alloc request{};
  request.fd_flags = O_RDWR | O_CLOEXEC;
  request.length = length;
  REQUIRE(call(DMABUF_FILE_ALLOC, request) == 0);
  return UniqueFd(request.dmabuf_fd);
}

/// A dumb buffer of vgem (DRM GEM over shmem), as a dma-buf.
UniqueFd vgem_dmabuf(size_t length);

struct Exporter {
  const char* name;
  UniqueFd (*make)(size_t length);
  uint32_t how;  ///< how its pages are found
};
/// Those whose pages can be found.
inline const std::vector<Exporter>& exporters() {
  static const std::vector<Exporter> all = [] {
    const uint32_t how = DMABUF_FILE_HOW_SG;
    std::vector<Exporter> made{
        {"system", [](size_t length) { return heap_dmabuf(length); }, how},
        {"udmabuf of small pages", [](size_t length) { return udmabuf(length, false); }, how},
        {"udmabuf of huge pages", [](size_t length) { return udmabuf(length, true); }, how},
        {"the module's own", [](size_t length) { return own_dmabuf(length); }, DMABUF_FILE_HOW_OWN_PAGES},
    };
#ifdef __x86_64__  // elsewhere its mappings pass by the cache (kernel/pages.c)
    // Which driver a dma-buf is of is not told by one that is built into the kernel.
    if (::access("/sys/module/vgem/initstate", F_OK) == 0)
      made.push_back({"vgem", [](size_t length) { return vgem_dmabuf(length); }, how});
#endif
    return made;
  }();
  return all;
}

struct Moved {
  int error = 0;
  uint64_t bytes = 0;
  uint32_t how = 0;
};
inline Moved transfer(int buffer, int file, const std::vector<Segment>& segments, uint32_t flags = 0) {
  dmabuf_file_transfer request{};
  request.flags = flags;
  request.dmabuf_fd = buffer;
  request.file_fd = file;
  request.segments = reinterpret_cast<uintptr_t>(segments.data());
  request.segment_count = static_cast<uint32_t>(segments.size());
  const int error = call(DMABUF_FILE_TRANSFER, request);
  return {error, request.bytes, request.how};
}

}  // namespace kernel
