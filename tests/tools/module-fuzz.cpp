// SPDX-License-Identifier: MIT
/// Random ioctls on /dev/dmabuf_file: arguments that are nearly right, so that a good part of them reaches
/// I/O. Ends with a histogram of what they returned; whether the kernel minded is for the caller to see
/// (tests/kernel/fuzz).
///   module-fuzz COUNT SEED DIRECTORY
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "dmabuffs/base/unique_fd.h"
#include "kernel/dmabuf_file.h"

namespace {

using dmabuffs::UniqueFd;

constexpr uint64_t kBuffer = 4u << 20;

class Fuzzer {
 public:
  Fuzzer(unsigned seed, std::string directory)
      : random_(seed),
        directory_(std::move(directory)),
        device_(::open(DMABUF_FILE_DEVICE, O_RDWR | O_CLOEXEC)) {}

  bool ready() {
    if (!device_) return false;
    for (int i = 0; i < 4; ++i) {
      const std::string path = directory_ + "/fuzz" + std::to_string(i);
      UniqueFd made(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
      const std::vector<char> bytes(kBuffer, static_cast<char>('a' + i));
      if (!made || ::write(made.get(), bytes.data(), bytes.size()) < 0) return false;
      const int flags[] = {O_RDWR, O_RDONLY, O_RDWR | O_DIRECT, O_RDWR | O_APPEND};
      files_.emplace_back(::open(path.c_str(), flags[i] | O_CLOEXEC));
    }
    files_.emplace_back(::memfd_create("fuzz", MFD_CLOEXEC));
    files_.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    files_.emplace_back(::open(directory_.c_str(), O_RDONLY | O_CLOEXEC));
    return heap_buffer() && own_buffer();
  }

  void step() {
    switch (random_() % 16) {
      case 0:
        return count("query", query());
      case 1:
        return count("alloc", alloc());
      case 2:
      case 3:
      case 4:
        return count("load", load());
      case 5:
        return count("open", open_file());
      case 6:
        return count("bind", bind());
      case 7:
        return disturb();
      case 8:
        return count("garbage", garbage());
      default:
        return count("transfer", transfer());
    }
  }

  void print() const {
    for (const auto& [what, counts] : histogram_)
      for (const auto& [error, times] : counts)
        std::printf("%-9s %-15s %8lu\n", what.c_str(), error == 0 ? "ok" : ::strerrorname_np(error), times);
    std::printf("%lu ioctls moved bytes\n", moved_);
  }

 private:
  uint64_t below(uint64_t limit) { return random_() % limit; }
  bool rarely() { return random_() % 24 == 0; }
  uint64_t any() { return uint64_t{random_()} << 32 | random_(); }
  uint32_t flags(uint32_t known) { return rarely() ? static_cast<uint32_t>(any()) : random_() & known; }
  int one_of(const std::vector<UniqueFd>& descriptors) {
    if (rarely() || descriptors.empty()) return static_cast<int>(below(64)) - 2;
    return descriptors[below(descriptors.size())].get();
  }
  /// Buffers, and sometimes something else.
  int some_buffer() { return one_of(rarely() ? files_ : buffers_); }
  int some_file() { return one_of(rarely() ? opened_ : files_); }
  uint64_t offset() {
    if (rarely()) return any();
    const uint64_t units[] = {1, 512, 4096, 65536};
    const uint64_t unit = units[below(4)];
    return below(kBuffer / unit) * unit;
  }
  std::vector<dmabuf_file_segment> segments() {
    std::vector<dmabuf_file_segment> made(rarely() ? below(1100) : 1 + below(4));
    for (auto& segment : made) {
      segment = {offset(), offset(), rarely() ? any() : 1 + below(1u << below(21))};
      if (!rarely() && segment.buffer_offset < kBuffer)
        segment.length = std::min<uint64_t>(segment.length, kBuffer - segment.buffer_offset);
    }
    return made;
  }
  template <class Argument>
  int call(unsigned long command, Argument& argument) {
    argument.size = rarely() ? static_cast<uint32_t>(below(2 * sizeof argument)) : sizeof argument;
    char room[256] = {};
    std::memcpy(room, &argument, sizeof argument);
    const int error = ::ioctl(device_.get(), command, room) == 0 ? 0 : errno;
    std::memcpy(&argument, room, sizeof argument);
    return error;
  }
  void count(const std::string& what, int error) { ++histogram_[what][error]; }
  void keep(std::vector<UniqueFd>& in, int fd) {
    if (in.size() < 8)
      in.emplace_back(fd);
    else
      in[below(in.size())].reset(fd);
  }

  int query() {
    dmabuf_file_query request{};
    request.flags = rarely() ? 1 : 0;
    return call(DMABUF_FILE_QUERY, request);
  }
  int alloc() {
    dmabuf_file_alloc request{};
    request.fd_flags = rarely() ? static_cast<uint32_t>(any()) : O_RDWR | O_CLOEXEC;
    request.length = rarely() ? any() : 1 + below(2 * kBuffer);
    request.flags = flags(0);
    const int error = call(DMABUF_FILE_ALLOC, request);
    if (error == 0) keep(buffers_, request.dmabuf_fd);
    return error;
  }
  int load() {
    const auto all = segments();
    dmabuf_file_load request{};
    request.fd_flags = O_RDWR | O_CLOEXEC;
    request.length = rarely() ? any() : kBuffer;
    request.flags = flags(DMABUF_FILE_REQUIRE_DIRECT);
    request.file_fd = some_file();
    request.segments = reinterpret_cast<uintptr_t>(all.data());
    request.segment_count = static_cast<uint32_t>(all.size());
    const int error = call(DMABUF_FILE_LOAD, request);
    if (error == 0) {
      keep(buffers_, request.dmabuf_fd);
      moved_ += request.bytes > 0;
    }
    return error;
  }
  int transfer() {
    const auto all = segments();
    dmabuf_file_transfer request{};
    request.flags = flags(DMABUF_FILE_TO_FILE | DMABUF_FILE_REQUIRE_DIRECT);
    request.dmabuf_fd = some_buffer();
    request.file_fd = some_file();
    request.segments = rarely() ? any() : reinterpret_cast<uintptr_t>(all.data());
    request.segment_count = static_cast<uint32_t>(all.size());
    const int error = call(DMABUF_FILE_TRANSFER, request);
    if (error == 0) moved_ += request.bytes > 0;
    return error;
  }
  int open_file() {
    dmabuf_file_open request{};
    request.fd_flags = rarely() ? static_cast<uint32_t>(any()) : O_RDWR | O_CLOEXEC;
    request.dmabuf_fd = random_() % 4 == 0 ? -1 : some_buffer();
    request.length = request.dmabuf_fd < 0 && !rarely() ? 0 : below(kBuffer);
    const int error = call(DMABUF_FILE_OPEN, request);
    if (error == 0) keep(opened_, request.file_fd);
    return error;
  }
  int bind() {
    dmabuf_file_bind request{};
    request.flags = rarely() ? 1 : 0;
    request.file_fd = one_of(rarely() ? files_ : opened_);
    request.dmabuf_fd = some_buffer();
    request.length = below(kBuffer);
    return call(DMABUF_FILE_BIND, request);
  }
  int garbage() {
    uint64_t room[32];
    for (uint64_t& word : room) word = rarely() ? any() : below(128);
    const unsigned long command = _IO(DMABUF_FILE_IOC_MAGIC, below(8));
    return ::ioctl(device_.get(), command, rarely() ? reinterpret_cast<void*>(any()) : room) == 0 ? 0 : errno;
  }
  /// What goes on beside it: files that change, buffers that go, reads and writes of files over them.
  void disturb() {
    char bytes[5000] = {};
    const int file = one_of(opened_);
    switch (below(5)) {
      case 0:
        (void)!::ftruncate(files_[0].get(), static_cast<off_t>(below(2 * kBuffer)));
        break;
      case 1:
        (void)!::pwrite(file, bytes, below(sizeof bytes), static_cast<off_t>(below(kBuffer)));
        break;
      case 2:
        (void)!::pread(file, bytes, below(sizeof bytes), static_cast<off_t>(below(kBuffer)));
        break;
      case 3:
        if (buffers_.size() > 2) buffers_.erase(buffers_.begin());
        break;
      default:
        heap_buffer();
    }
  }
  bool heap_buffer() {
    const UniqueFd heap(::open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC));
    dma_heap_allocation_data data{};
    data.len = kBuffer;
    data.fd_flags = O_RDWR | O_CLOEXEC;
    if (::ioctl(heap.get(), DMA_HEAP_IOCTL_ALLOC, &data) != 0) return false;
    keep(buffers_, static_cast<int>(data.fd));
    return true;
  }
  bool own_buffer() {
    dmabuf_file_alloc request{};
    request.size = sizeof request;
    request.fd_flags = O_RDWR | O_CLOEXEC;
    request.length = kBuffer;
    if (::ioctl(device_.get(), DMABUF_FILE_ALLOC, &request) != 0) return false;
    keep(buffers_, request.dmabuf_fd);
    return true;
  }

  std::mt19937 random_;
  const std::string directory_;
  const UniqueFd device_;
  std::vector<UniqueFd> files_, buffers_, opened_;
  std::map<std::string, std::map<int, unsigned long>> histogram_;
  unsigned long moved_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: module-fuzz COUNT SEED DIRECTORY\n");
    return 2;
  }
  std::signal(SIGXFSZ, SIG_IGN);
  Fuzzer fuzzer(static_cast<unsigned>(std::atoi(argv[2])), argv[3]);
  if (!fuzzer.ready()) {
    std::perror("module-fuzz");
    return 1;
  }
  for (long i = 0; i < std::atol(argv[1]); ++i) fuzzer.step();
  fuzzer.print();
  return 0;
}
