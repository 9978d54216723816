// SPDX-License-Identifier: MIT
/// The kernel module held against the best that is possible without it. Each way loads FILE into memory of
/// its size, or stores such memory in FILE (which has all its blocks), once, and prints a line of
/// milliseconds: to allocate, and to move the bytes.
///
///   module-load WAY load|store FILE
///
///   ceiling   anonymous memory in huge pages, populated, O_DIRECT
///   memfd     a memfd of 4 KiB pages with a udmabuf over it, not populated, O_DIRECT
///   transfer  a buffer of the system heap, DMABUF_FILE_TRANSFER
///   load      DMABUF_FILE_LOAD: both at once (load only)
///   is gone
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
#include <cstring>
#include <string>

#include "kernel/dmabuf_file.h"

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int checked(int result, const char* what) {
  if (result < 0) fail(what);
  return result;
}

class Clock {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double passed = std::chrono::duration<double, std::milli>(now - last_).count();
    last_ = now;
    return passed;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

struct Job {
  int file;
  size_t length;
  bool store;
};

void move(const Job& job, char* memory) {
  for (size_t done = 0; done < job.length;) {
    const ssize_t moved = job.store
                              ? ::pwrite(job.file, memory + done, job.length - done, static_cast<off_t>(done))
                              : ::pread(job.file, memory + done, job.length - done, static_cast<off_t>(done));
    if (moved <= 0) fail("O_DIRECT");
    done += static_cast<size_t>(moved);
  }
}

void print(double allocate, double bytes) {
  std::printf("%.2f %.2f\n", allocate, bytes);
}

void ceiling(const Job& job) {
  constexpr size_t kHuge = size_t{2} << 20;
  Clock clock;
  void* room =
      ::mmap(nullptr, job.length + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) fail("mmap");
  auto* memory = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(room) + kHuge - 1) / kHuge * kHuge);
  checked(::madvise(memory, job.length, MADV_HUGEPAGE), "MADV_HUGEPAGE");
  checked(::madvise(memory, job.length, MADV_POPULATE_WRITE), "MADV_POPULATE_WRITE");
  const double allocate = clock.lap();
  move(job, memory);
  print(allocate, clock.lap());
}

void memfd(const Job& job) {
  Clock clock;
  const int fd = checked(::memfd_create("module-load", MFD_ALLOW_SEALING | MFD_CLOEXEC), "memfd_create");
  checked(::ftruncate(fd, static_cast<off_t>(job.length)), "ftruncate");
  checked(::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), "F_ADD_SEALS");
  const int device = checked(::open("/dev/udmabuf", O_RDWR), "/dev/udmabuf");
  udmabuf_create request{static_cast<unsigned>(fd), 0, 0, job.length};
  checked(::ioctl(device, UDMABUF_CREATE, &request), "UDMABUF_CREATE");
  void* memory = ::mmap(nullptr, job.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) fail("mmap");
  const double allocate = clock.lap();
  move(job, static_cast<char*>(memory));
  print(allocate, clock.lap());
}

int module_device() {
  return checked(::open(DMABUF_FILE_DEVICE, O_RDWR), DMABUF_FILE_DEVICE);
}

void transfer(const Job& job) {
  const int module = module_device();
  const int heap = checked(::open("/dev/dma_heap/system", O_RDWR), "/dev/dma_heap/system");
  Clock clock;
  dma_heap_allocation_data buffer{};
  buffer.len = job.length;
  buffer.fd_flags = O_RDWR | O_CLOEXEC;
  checked(::ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &buffer), "DMA_HEAP_IOCTL_ALLOC");
  const double allocate = clock.lap();
  const dmabuf_file_segment all{0, 0, job.length};
  dmabuf_file_transfer request{};
  request.size = sizeof request;
  request.flags = DMABUF_FILE_REQUIRE_DIRECT | (job.store ? DMABUF_FILE_TO_FILE : 0);
  request.dmabuf_fd = static_cast<int>(buffer.fd);
  request.file_fd = job.file;
  request.segments = reinterpret_cast<uintptr_t>(&all);
  request.segment_count = 1;
  checked(::ioctl(module, DMABUF_FILE_TRANSFER, &request), "TRANSFER");
  if (request.bytes != job.length) fail("TRANSFER: short");
  print(allocate, clock.lap());
}

void load(const Job& job) {
  const int module = module_device();
  ::posix_fadvise(job.file, 0, 0, POSIX_FADV_DONTNEED);
  Clock clock;
  const dmabuf_file_segment all{0, 0, job.length};
  dmabuf_file_load request{};
  request.size = sizeof request;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  request.length = job.length;
  request.flags = DMABUF_FILE_REQUIRE_DIRECT;
  request.file_fd = job.file;
  request.segments = reinterpret_cast<uintptr_t>(&all);
  request.segment_count = 1;
  checked(::ioctl(module, DMABUF_FILE_LOAD, &request), "LOAD");
  if (request.bytes != job.length) fail("LOAD: short");
  print(0, clock.lap());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: module-load ceiling|memfd|transfer|load load|store FILE\n");
    return 2;
  }
  const std::string way = argv[1];
  const bool store = std::string(argv[2]) == "store";
  Job job{checked(::open(argv[3], (store ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC), argv[3]), 0, store};
  struct stat st {};
  checked(::fstat(job.file, &st), argv[3]);
  job.length = static_cast<size_t>(st.st_size);
  if (way == "ceiling") ceiling(job);
  if (way == "memfd") memfd(job);
  if (way == "transfer") transfer(job);
  if (way == "load") load(job);
  return 0;
}
