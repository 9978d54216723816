// SPDX-License-Identifier: MIT
/// What dmabuffs is held against: allocates a buffer of FILE's size and reads FILE into it as a careful user
/// would by hand. Prints the milliseconds from opening FILE to its last byte being in the buffer; starting
/// the process and freeing the memory are not counted.
///
///   byhand udmabuf|system|memfd FILE
///
///   udmabuf  a memfd of 2 MiB huge pages made a dma-buf; O_DIRECT read into the memfd's mapping
///   system   a buffer of the system heap; its mapping can't take O_DIRECT, so a buffered read
///   memfd    a memfd of 4 KiB pages, no dma-buf; O_DIRECT read into its mapping
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int checked(int result, const char* what) {
  if (result < 0) fail(what);
  return result;
}

/// Descriptors are left to the end of the process.
int make_memfd(size_t length, unsigned flags) {
  const int memfd = checked(::memfd_create("byhand", MFD_ALLOW_SEALING | flags), "memfd_create");
  checked(::ftruncate(memfd, static_cast<off_t>(length)), "ftruncate");
  return memfd;
}

void make_udmabuf(int memfd, size_t length) {
  const int device = checked(::open("/dev/udmabuf", O_RDWR), "/dev/udmabuf");
  checked(::fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK), "F_ADD_SEALS");
  udmabuf_create request{};
  request.memfd = static_cast<unsigned>(memfd);
  request.size = length;
  checked(::ioctl(device, UDMABUF_CREATE, &request), "UDMABUF_CREATE");
}

int allocate_from_system_heap(size_t length) {
  const int heap = checked(::open("/dev/dma_heap/system", O_RDONLY), "/dev/dma_heap/system");
  dma_heap_allocation_data request{};
  request.len = length;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  checked(::ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request), "DMA_HEAP_IOCTL_ALLOC");
  return static_cast<int>(request.fd);
}

/// What is mapped to reach the buffer's memory.
int make_buffer(const std::string& method, size_t length) {
  if (method == "system") return allocate_from_system_heap(length);
  if (method == "memfd") return make_memfd(length, 0);
  const int memfd = make_memfd(length, MFD_HUGETLB);
  make_udmabuf(memfd, length);
  return memfd;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string method = argc == 3 ? argv[1] : "";
  if (method != "udmabuf" && method != "system" && method != "memfd") {
    std::fputs("usage: byhand udmabuf|system|memfd FILE\n", stderr);
    return 2;
  }
  const auto start = std::chrono::steady_clock::now();
  const int file = checked(::open(argv[2], O_RDONLY | (method == "system" ? 0 : O_DIRECT)), argv[2]);
  struct stat info {};
  checked(::fstat(file, &info), argv[2]);
  const auto size = static_cast<size_t>(info.st_size);
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t length = (size + kHugePage - 1) / kHugePage * kHugePage;
  const int buffer = make_buffer(method, length);
  void* const mapped = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
  if (mapped == MAP_FAILED) fail("mmap");
  for (size_t done = 0; done < size;) {
    const ssize_t got = ::read(file, static_cast<char*>(mapped) + done, length - done);
    if (got <= 0) fail("read");
    done += static_cast<size_t>(got);
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  std::printf("%.1f\n", took.count());
  return 0;
}
