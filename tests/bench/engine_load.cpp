// SPDX-License-Identifier: MIT
/// engine_load HEAP FILE [RUNS]: time to load FILE into a new buffer of HEAP, by the engine and the way a
/// careful user would do it by hand, in turns and with the page cache dropped before each (root). Prints
/// milliseconds.
///   memfd    by hand: memfd, mmap, O_DIRECT read
///   udmabuf  by hand: hugetlb memfd, udmabuf, mmap, O_DIRECT read
///   others   by hand: allocation from /dev/dma_heap/HEAP, mmap, read
/// "recycled" is a second load by the engine into the memory of the buffer just removed.
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "dmabuffs/base/range.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/transfer/transfer.h"

using namespace dmabuffs;

namespace {

/// Milliseconds: what a user waits, and what all threads worked for it.
struct Times {
  double elapsed, cpu;
};

class Clock {
 public:
  [[nodiscard]] Times milliseconds() const {
    return {std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count(),
            cpu_now() - cpu_start_};
  }

 private:
  static double cpu_now() {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
  }
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double cpu_start_ = cpu_now();
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

[[noreturn]] void die_errno(const std::string& what) {
  die(what + ": " + std::strerror(errno));
}

void drop_caches() {
  ::sync();
  const UniqueFd control(::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC));
  if (!control || ::write(control.get(), "3", 1) != 1) die_errno("/proc/sys/vm/drop_caches");
}

uint64_t size_of(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) die_errno("fstat");
  return static_cast<uint64_t>(st.st_size);
}

UniqueFd udmabuf_of(int memfd, uint64_t length) {
  const UniqueFd device(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
  udmabuf_create create{};
  create.memfd = static_cast<__u32>(memfd);
  create.size = length;
  ::fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK);
  UniqueFd made(::ioctl(device.get(), UDMABUF_CREATE, &create));
  if (!made) die_errno("/dev/udmabuf");
  return made;
}

UniqueFd heap_buffer(const std::string& heap, uint64_t length) {
  const UniqueFd device(::open(("/dev/dma_heap/" + heap).c_str(), O_RDWR | O_CLOEXEC));
  dma_heap_allocation_data request{};
  request.len = length;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  if (::ioctl(device.get(), DMA_HEAP_IOCTL_ALLOC, &request) != 0) die_errno(heap);
  return UniqueFd(static_cast<int>(request.fd));
}

Times load_by_hand(const std::string& heap, const std::string& path) {
  const Clock clock;
  const bool shmem = heap == "memfd" || heap == "udmabuf";
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | (shmem ? O_DIRECT : 0)));
  if (!file) die_errno(path);
  const uint64_t size = size_of(file.get());
  const uint64_t length = round_up(size, kHugePage);
  UniqueFd memory, dmabuf;
  if (shmem) {
    memory.reset(::memfd_create("by-hand", MFD_ALLOW_SEALING | (heap == "udmabuf" ? MFD_HUGETLB : 0)));
    if (::ftruncate(memory.get(), static_cast<off_t>(length)) != 0) die_errno("memfd");
    if (heap == "udmabuf") dmabuf = udmabuf_of(memory.get(), length);
  } else {
    memory = heap_buffer(heap, length);
  }
  void* at = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (at == MAP_FAILED) die_errno("mmap");
  for (uint64_t done = 0; done < size;) {
    const ssize_t got = ::read(file.get(), static_cast<char*>(at) + done, length - done);
    if (got <= 0) die_errno("read");
    done += static_cast<uint64_t>(got);
  }
  const Times took = clock.milliseconds();
  ::munmap(at, length);
  return took;
}

/// As the mount does it: piece by piece, allocated once.
Times load_by_engine(Engine& engine, const std::shared_ptr<Buffer>& buffer, const std::string& path) {
  const Clock clock;
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) die_errno(path);
  Copy copy;
  copy.from = std::make_shared<FileEnd>(file.get(), UniqueFd(), path, true);
  copy.to = buffer;
  copy.length = copy.expected_end = size_of(file.get());
  Transfer(engine, std::move(copy)).run([](const Outcome& piece) {
    if (piece.error) die(piece.error->message);
  });
  return clock.milliseconds();
}

std::vector<double> sorted(const std::vector<Times>& times, double Times::*which) {
  std::vector<double> values;
  for (const Times& each : times) values.push_back(each.*which);
  std::sort(values.begin(), values.end());
  return values;
}

double median(const std::vector<Times>& times) {
  const auto values = sorted(times, &Times::elapsed);
  return values[values.size() / 2];
}

void print(const char* name, const std::vector<Times>& times) {
  const auto elapsed = sorted(times, &Times::elapsed), cpu = sorted(times, &Times::cpu);
  std::printf("%-10s median %7.1f  min %7.1f  max %7.1f   cpu median %7.1f\n", name, median(times),
              elapsed.front(), elapsed.back(), cpu[cpu.size() / 2]);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) die("usage: engine_load HEAP FILE [RUNS]");
  const std::string heap_name = arguments[1], path = arguments[2];
  const int runs = count > 3 ? std::atoi(arguments[3]) : 5;

  Budget budget({uint64_t{1} << 40, 0, ::getuid()});
  Recycler recycler(uint64_t{1} << 32);
  auto heaps = HeapRegistry::make(budget, {});
  if (!heaps) die(heaps.error().message);
  const auto heap = (*heaps)->find(heap_name);
  if (!heap) die(heap_name + ": no such heap");
  Engine engine({});

  std::vector<Times> hand, first, recycled;
  for (int run = 0; run < runs; ++run) {
    drop_caches();
    hand.push_back(load_by_hand(heap_name, path));
    for (auto* times : {&first, &recycled}) {
      drop_caches();
      const auto buffer = Buffer::make(heap, recycler, ::getuid(), "bench");
      times->push_back(load_by_engine(engine, buffer, path));
    }
    recycler.drain();
  }
  print("by hand", hand);
  print("engine", first);
  print("recycled", recycled);
  std::printf("engine / by hand  %.2f\nrecycled / first  %.2f\n", median(first) / median(hand),
              median(recycled) / median(first));
  const auto counted = engine.counters().snapshot();
  for (size_t at = 0; at < kPathCount; ++at) {
    if (counted.paths[at].bytes == 0) continue;
    std::printf("%-14s %lu operations, %lu bytes\n", to_string(static_cast<Path>(at)),
                counted.paths[at].operations, counted.paths[at].bytes);
  }
  for (const Reason& reason : counted.reasons) {
    std::printf("%-14s %lu bytes: %s\n", to_string(reason.path), reason.bytes, reason.why.c_str());
  }
}
