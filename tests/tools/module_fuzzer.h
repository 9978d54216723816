// SPDX-License-Identifier: MIT
/// What one process of module-fuzz does: random ioctls on /dev/dmabuf_file, and what disturbs them; and what
/// all processes count together.
#pragma once
#include <fcntl.h>
#include <liburing.h>
#include <linux/dma-heap.h>
#include <linux/fs.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/unique_fd.h"
#include "kernel/dmabuf_file.h"

namespace fuzz {

using dmabuffs::Mapping;
using dmabuffs::UniqueFd;

constexpr uint64_t kFile = 4u << 20;
constexpr uint64_t kShared = 1u << 20;

/// What all processes count together.
struct Tally {
  static constexpr const char* kKinds[] = {"query", "alloc", "load", "open", "bind", "transfer", "garbage"};
  std::atomic<unsigned long> ioctls, moved, direct, by_ring, faults;
  std::array<std::array<std::atomic<unsigned long>, 134>, std::size(kKinds)> results;

  void print() const {
    for (size_t kind = 0; kind < results.size(); ++kind)
      for (size_t error = 0; error < results[kind].size(); ++error)
        if (results[kind][error] != 0)
          std::printf("%-9s %-15s %8lu\n", kKinds[kind],
                      error == 0 ? "ok" : ::strerrorname_np(static_cast<int>(error)),
                      results[kind][error].load());
    std::printf("ioctls    %lu\nmoved     %lu\ndirect    %lu\nby-ring   %lu\nfaults    %lu\n", ioctls.load(),
                moved.load(), direct.load(), by_ring.load(), faults.load());
  }
};
enum Kind { kQuery, kAlloc, kLoad, kOpen, kBind, kTransfer, kGarbage };

/// A descriptor and how much there is behind it.
struct Held {
  UniqueFd fd;
  uint64_t size = 0;
};

class Fuzzer {
 public:
  Fuzzer(Tally& tally, unsigned seed, std::span<char*> paths)
      : tally_(tally), random_(seed), device_(::open(DMABUF_FILE_DEVICE, O_RDWR | O_CLOEXEC)) {
    const std::string directory = paths[0];
    for (int i = 0; i < 4; ++i) {
      const std::string path = directory + "/fuzz" + std::to_string(i);
      const UniqueFd made(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
      const std::vector<char> bytes(kFile, static_cast<char>('a' + i));
      if (!made || ::write(made.get(), bytes.data(), bytes.size()) < 0) return;
      const int flags[] = {O_RDWR, O_RDWR | O_DIRECT, O_RDONLY, O_RDWR | O_APPEND};
      files_.push_back({UniqueFd(::open(path.c_str(), flags[i] | O_CLOEXEC)), kFile});
    }
    directory_ = UniqueFd(::open(directory.c_str(), O_RDONLY | O_CLOEXEC));
    for (const char* path : paths.subspan(1))
      files_.push_back({UniqueFd(::open(path, O_RDWR | O_CLOEXEC)), kFile});
    files_.push_back({UniqueFd(::memfd_create("fuzz", MFD_CLOEXEC)), kFile});
    odd_.push_back({UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), kFile});
    odd_.push_back({UniqueFd(::dup(directory_.get())), kFile});
    ready_ = std::all_of(files_.begin(), files_.end(), [](const Held& file) { return file.fd.valid(); }) &&
             heap_buffer(kShared, O_RDWR) && own_buffer(kShared);
    for (int i = 0; i < 2; ++i) (void)open_file();
  }
  [[nodiscard]] bool ready() const { return ready_; }
  /// Nobody else would, if the process that froze it was killed.
  void thaw() const { (void)::ioctl(directory_.get(), FITHAW, 0); }

  /// In a process of its own.
  void run(unsigned seed, unsigned long count) {
    random_.seed(seed);
    fail_nth_ = UniqueFd(::open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC));
    has_ring_ = ::io_uring_queue_init(4, &ring_, 0) == 0;
    while (tally_.ioctls < count) step();
  }

 private:
  void step() {
    switch (below(20)) {
      case 0:
        return record(kQuery, query());
      case 1:
        return record(kAlloc, alloc());
      case 2:
      case 3:
      case 4:
      case 5:
        return record(kLoad, load());
      case 6:
        return record(kOpen, open_file());
      case 7:
        return record(kBind, bind());
      case 8:
        return record(kGarbage, garbage());
      case 9:
      case 10:
        return disturb();
      default:
        return record(kTransfer, transfer());
    }
  }

  uint64_t below(uint64_t limit) { return random_() % limit; }
  bool once_in(uint64_t times) { return below(times) == 0; }
  bool rarely() { return once_in(40); }
  uint64_t any() { return uint64_t{random_()} << 32 | random_(); }
  /// Many small ones, some large ones.
  uint64_t length() { return 1 + below(uint64_t{1} << below(20)); }
  uint32_t fd_flags() { return rarely() ? static_cast<uint32_t>(any()) : O_RDWR | O_CLOEXEC; }
  uint32_t direct() { return once_in(5) ? DMABUF_FILE_REQUIRE_DIRECT : 0; }

  struct Choice {
    int fd;
    uint64_t size;
  };
  Choice one_of(const std::vector<Held>& all) {
    if (rarely() || all.empty()) return {static_cast<int>(below(64)) - 2, kFile};
    const Held& held = all[below(all.size())];
    return {held.fd.get(), held.size};
  }
  Choice some_buffer() { return one_of(rarely() ? files_ : buffers_); }
  Choice some_file(uint32_t flags) {
    if (rarely()) return one_of(rarely() ? odd_ : opened_);
    /* The first of them can do everything. */
    if (once_in(2)) return {files_[below(flags & DMABUF_FILE_REQUIRE_DIRECT ? 2 : 3)].fd.get(), kFile};
    return one_of(files_);
  }
  /// No random descriptor, which might be that of the histogram's way out.
  Choice held(const std::vector<Held>& all) {
    if (all.empty()) return {-1, kFile};
    const Held& one = all[below(all.size())];
    return {one.fd.get(), one.size};
  }
  void keep(std::vector<Held>& in, int fd, uint64_t size) {
    if (fd < 0) return;
    if (in.size() < 8)
      in.push_back({UniqueFd(fd), size});
    else
      in[below(in.size())] = {UniqueFd(fd), size};
  }

  std::vector<dmabuf_file_segment> segments(uint64_t size, bool apart) {
    std::vector<dmabuf_file_segment> made(once_in(2000) ? below(1100) : 1 + below(3));
    const uint64_t unit = std::array<uint64_t, 4>{1, 512, 4096, 4096}[below(4)];
    const auto place = [&](uint64_t limit) {
      return rarely() && rarely() ? any() : below(limit / unit + 1) * unit;
    };
    uint64_t at = 0;
    for (size_t i = 0; i < made.size(); ++i) {
      if (apart && at >= size && i > 0) {
        made.resize(i);
        break;
      }
      auto& segment = made[i];
      segment = {place(size), place(kFile), (length() + unit - 1) / unit * unit};
      if (apart && !rarely()) segment.buffer_offset = at;
      if (segment.buffer_offset < size && !rarely())
        segment.length = std::min(segment.length, size - segment.buffer_offset);
      if (rarely() && rarely()) segment.length = any();
      at = segment.buffer_offset + segment.length;
    }
    return made;
  }

  /// An errno, or 0.
  int issue(unsigned long command, void* argument) {
    if (has_ring_ && once_in(6)) return issue_by_ring(command, argument);
    const bool faulty = fail_nth_.valid() && once_in(12);
    if (faulty) fail_allocation(1 + below(uint64_t{1} << below(7)));
    const int error = ::ioctl(device_.get(), command, argument) == 0 ? 0 : errno;
    if (faulty) {
      char left[8] = {};
      if (::pread(fail_nth_.get(), left, sizeof left, 0) > 0 && left[0] == '0') ++tally_.faults;
      fail_allocation(0);
    }
    return error;
  }
  /// The `nth` allocation of this process from now on; 0: none.
  void fail_allocation(uint64_t nth) {
    const std::string text = std::to_string(nth);
    (void)!::pwrite(fail_nth_.get(), text.data(), text.size(), 0);
  }
  int issue_by_ring(unsigned long command, void* argument) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    std::memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_URING_CMD;
    entry->fd = device_.get();
    entry->cmd_op = static_cast<uint32_t>(command);
    entry->addr = reinterpret_cast<uintptr_t>(argument);
    while (::io_uring_submit(&ring_) < 0) {
    }
    io_uring_cqe* done = nullptr;
    while (::io_uring_wait_cqe(&ring_, &done) != 0) {
    }
    const int error = -done->res;
    ::io_uring_cqe_seen(&ring_, done);
    ++tally_.by_ring;
    return error;
  }
  template <class Argument>
  int call(unsigned long command, Argument& argument) {
    argument.size = rarely() ? static_cast<uint32_t>(below(2 * sizeof argument)) : sizeof argument;
    char room[256] = {};
    std::memcpy(room, &argument, sizeof argument);
    const int error = issue(command, room);
    std::memcpy(&argument, room, sizeof argument);
    return error;
  }
  void record(Kind kind, int error) {
    ++tally_.ioctls;
    ++tally_.results[kind][std::min<size_t>(static_cast<size_t>(error), tally_.results[kind].size() - 1)];
  }
  void record_move(uint64_t bytes, uint32_t how) {
    if (bytes > 0) ++tally_.moved;
    if (bytes > 0 && (how & DMABUF_FILE_HOW_DIRECT) != 0) ++tally_.direct;
  }

  int query() {
    dmabuf_file_query request{};
    request.flags = rarely() ? 1 : 0;
    return call(DMABUF_FILE_QUERY, request);
  }
  int alloc() {
    dmabuf_file_alloc request{};
    request.fd_flags = fd_flags();
    request.length = rarely() ? any() : length() * (1 + below(8));
    request.flags = rarely() ? 1 : 0;
    const int error = call(DMABUF_FILE_ALLOC, request);
    if (error == 0) keep(buffers_, request.dmabuf_fd, request.length);
    return error;
  }
  int load() {
    dmabuf_file_load request{};
    request.length = once_in(2) ? length() : length() * (1 + below(8));
    const auto all = segments(request.length, true);
    if (rarely()) request.length = any();
    request.fd_flags = fd_flags();
    request.flags = direct() | (random_() & DMABUF_FILE_INTERRUPTIBLE);
    request.file_fd = some_file(request.flags).fd;
    request.segments = reinterpret_cast<uintptr_t>(all.data());
    request.segment_count = static_cast<uint32_t>(all.size());
    const int error = call(DMABUF_FILE_LOAD, request);
    if (error == 0) {
      keep(buffers_, request.dmabuf_fd, request.length);
      record_move(request.bytes, request.how);
    }
    return error;
  }
  int transfer() {
    const Choice buffer = some_buffer();
    const auto all = segments(buffer.size, false);
    dmabuf_file_transfer request{};
    request.flags = rarely() ? static_cast<uint32_t>(any()) : direct() | (random_() & DMABUF_FILE_TO_FILE);
    request.dmabuf_fd = buffer.fd;
    request.file_fd = some_file(request.flags).fd;
    request.segments = rarely() ? any() : reinterpret_cast<uintptr_t>(all.data());
    request.segment_count = static_cast<uint32_t>(all.size());
    const int error = call(DMABUF_FILE_TRANSFER, request);
    if (error == 0) record_move(request.bytes, request.how);
    return error;
  }
  int open_file() {
    const Choice buffer = some_buffer();
    dmabuf_file_open request{};
    request.fd_flags = once_in(4) ? O_RDONLY | O_CLOEXEC : fd_flags();
    request.dmabuf_fd = once_in(4) ? -1 : buffer.fd;
    request.length = request.dmabuf_fd < 0 && !rarely() ? 0 : below(buffer.size + 1);
    if ((request.fd_flags & O_RDWR) != 0 && once_in(2)) request.room = rarely() ? any() : length() * 16;
    const int error = call(DMABUF_FILE_OPEN, request);
    if (error == 0) keep(opened_, request.file_fd, buffer.size);
    return error;
  }
  int bind() {
    const Choice buffer = some_buffer();
    dmabuf_file_bind request{};
    // LAST leaves a file of little use.
    constexpr uint32_t kUseful = DMABUF_FILE_BIND_REPLACE | DMABUF_FILE_BIND_KEEP | DMABUF_FILE_BIND_HIDDEN;
    request.flags = rarely() ? static_cast<uint32_t>(any()) : random_() & kUseful;
    if (rarely()) request.flags |= DMABUF_FILE_BIND_FULL;
    if (once_in(4)) request.flags |= DMABUF_FILE_BIND_FILLED;
    request.file_fd = one_of(rarely() ? files_ : opened_).fd;
    request.dmabuf_fd = once_in(8) ? -1 : buffer.fd;
    request.length = request.dmabuf_fd == -1 && !rarely() ? 0 : below(buffer.size + 1);
    return call(DMABUF_FILE_BIND, request);
  }
  int garbage() {
    uint64_t room[32];
    for (uint64_t& word : room) word = rarely() ? any() : below(128);
    const unsigned long command = _IO(DMABUF_FILE_IOC_MAGIC, below(8));
    return ::ioctl(device_.get(), command, rarely() ? reinterpret_cast<void*>(any()) : room) == 0 ? 0 : errno;
  }

  /// What goes on beside it. Whether it succeeds does not matter.
  void disturb() {
    static const std::vector<char> bytes(100'000, 'z');
    static std::vector<char> room(100'000);
    const auto [file, size] = held(opened_);
    const auto at = static_cast<off_t>(below(2 * size + 1));  // also beyond the dma-buf
    const size_t some = below(bytes.size());
    const int disk_file = files_[below(3)].fd.get();
    switch (below(14)) {
      case 0:
        (void)!::ftruncate(files_[0].fd.get(), static_cast<off_t>(below(2 * kFile)));
        break;
      case 1:
        (void)!::pwrite(file, bytes.data(), some, at);
        break;
      case 2:
        (void)!::pread(file, room.data(), some, at);
        break;
      case 3:
        (void)!::ftruncate(file, at);
        break;
      case 4:
        if (buffers_.size() > 3) buffers_.erase(buffers_.begin() + static_cast<ptrdiff_t>(2 + below(2)));
        break;
      case 5:
        if (opened_.size() > 3) opened_.erase(opened_.begin() + static_cast<ptrdiff_t>(2 + below(2)));
        break;
      case 6:
        heap_buffer(length(), once_in(4) ? O_RDONLY : O_RDWR);
        break;
      case 7:
        udma_buffer(length());
        break;
      case 8:
        (void)!::sendfile(once_in(2) ? file : disk_file, once_in(2) ? file : disk_file, nullptr, some);
        break;
      case 9:
        touch(once_in(2) ? file : held(buffers_).fd);
        break;
      case 10:
        (void)::posix_fadvise(disk_file, 0, 0, POSIX_FADV_DONTNEED);
        break;
      case 11:
        keep(opened_, ::open(("/proc/self/fd/" + std::to_string(file)).c_str(), O_RDWR | O_CLOEXEC), size);
        break;
      case 12:
        if (once_in(20) && ::ioctl(directory_.get(), FIFREEZE, 0) == 0) thaw();
        break;
      default: {
        const itimerval soon{{0, 0}, {0, static_cast<suseconds_t>(1 + below(20'000))}};
        (void)::setitimer(ITIMER_REAL, &soon, nullptr);
      }
    }
  }
  /// The first page, which every dma-buf has.
  static void touch(int fd) {
    const auto mapping = Mapping::of_file(fd, 0, 4096, PROT_READ | PROT_WRITE);
    if (mapping) std::memset(mapping->data(), 't', 100);
  }
  bool heap_buffer(uint64_t length, uint32_t mode) {
    static const UniqueFd heap(::open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC));
    dma_heap_allocation_data data{};
    data.len = length;
    data.fd_flags = mode | O_CLOEXEC;
    if (::ioctl(heap.get(), DMA_HEAP_IOCTL_ALLOC, &data) != 0) return false;
    keep(buffers_, static_cast<int>(data.fd), length);
    return true;
  }
  void udma_buffer(uint64_t length) {
    static const UniqueFd udmabuf(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
    length = (length + 4095) / 4096 * 4096;
    const UniqueFd memory(::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (::ftruncate(memory.get(), static_cast<off_t>(length)) != 0) return;
    (void)::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK);
    udmabuf_create request{static_cast<uint32_t>(memory.get()), UDMABUF_FLAGS_CLOEXEC, 0, length};
    const int made = ::ioctl(udmabuf.get(), UDMABUF_CREATE, &request);
    if (made >= 0) keep(buffers_, made, length);
  }
  bool own_buffer(uint64_t length) {
    dmabuf_file_alloc request{sizeof request, O_RDWR | O_CLOEXEC, length, 0, -1};
    if (::ioctl(device_.get(), DMABUF_FILE_ALLOC, &request) != 0) return false;
    keep(buffers_, request.dmabuf_fd, length);
    return true;
  }

  Tally& tally_;
  std::mt19937 random_;
  const UniqueFd device_;
  UniqueFd directory_, fail_nth_;
  std::vector<Held> files_, odd_, buffers_, opened_;
  io_uring ring_{};
  bool has_ring_ = false, ready_ = false;
};

}  // namespace fuzz
