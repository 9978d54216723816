// SPDX-License-Identifier: MIT
// OPEN and BIND: regular files over dma-bufs.
#include <sys/inotify.h>
#include <sys/sendfile.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "kernel/opened_support.h"

using namespace kernel;

TEST_CASE("a file over a dma-buf reads and writes the dma-buf") {
  for (const Exporter& exporter : exporters()) {
    INFO(exporter.name);
    const Buffer buffer(exporter.make(2 * kHuge));
    const auto content = random_bytes(2 * kHuge);
    buffer.fill(content);
    const Opened file = open_over(buffer.fd(), 2 * kHuge);
    REQUIRE(file.error == 0);
    std::vector<char> got(2 * kHuge);
    CHECK(::pread(file.fd.get(), got.data(), got.size(), 0) == static_cast<ssize_t>(got.size()));
    CHECK(same(got, content));
    const auto other = random_bytes(100'001, 5);
    CHECK(::pwrite(file.fd.get(), other.data(), other.size(), kHuge - 50'000) ==
          static_cast<ssize_t>(other.size()));
    const auto now = buffer.content();
    CHECK(std::equal(other.begin(), other.end(), now.begin() + kHuge - 50'000));
  }
}

TEST_CASE("a shared mapping of the file is the dma-buf itself") {
  for (const Exporter& exporter : exporters()) {
    INFO(exporter.name);
    const Buffer buffer(exporter.make(kHuge));
    const Opened file = open_over(buffer.fd(), kHuge);
    REQUIRE(file.error == 0);
    auto mapping = Mapping::of_file(file.fd.get(), 0, kHuge, PROT_READ | PROT_WRITE);
    REQUIRE(mapping);
    std::memset(mapping->data(), 'x', kHuge);
    CHECK(same(buffer.content(), std::vector<char>(kHuge, 'x')));
  }
}

TEST_CASE("its length can be set up to the dma-buf's size, and what comes anew is zero") {
  const Buffer buffer(heap_dmabuf(4 * kPage));
  buffer.fill(std::vector<char>(4 * kPage, 'x'));
  const Opened file = open_over(buffer.fd(), 1000);
  REQUIRE(file.error == 0);
  CHECK(size_of(file.fd.get()) == 1000);
  char byte = 0;
  CHECK(::pread(file.fd.get(), &byte, 1, 1000) == 0);
  CHECK(::ftruncate(file.fd.get(), 2000) == 0);
  CHECK(::pread(file.fd.get(), &byte, 1, 1500) == 1);
  CHECK(byte == 0);
  CHECK(::pwrite(file.fd.get(), "y", 1, 4000) == 1);
  CHECK(size_of(file.fd.get()) == 4001);
  CHECK(::pread(file.fd.get(), &byte, 1, 3000) == 1);
  CHECK(byte == 0);
  CHECK(::ftruncate(file.fd.get(), 4 * kPage + 1) == -1);
  CHECK(errno == ENOSPC);
  CHECK(::pwrite(file.fd.get(), "y", 1, 4 * kPage) == -1);
  CHECK(errno == ENOSPC);
  CHECK(::pwrite(file.fd.get(), "yyyy", 4, 4 * kPage - 2) == 2);
}

TEST_CASE("a watch of the file ends with its last close, and keeps no dma-buf") {
  const UniqueFd watcher(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  REQUIRE(watcher);
  const Opened other = open_over(own_dmabuf(kPage).get(), kPage);  // keeps the file system
  REQUIRE(other.error == 0);
  {
    const Opened file = open_over(own_dmabuf(kPage).get(), kPage);
    REQUIRE(file.error == 0);
    const std::string path = "/proc/self/fd/" + std::to_string(file.fd.get());
    REQUIRE(::inotify_add_watch(watcher.get(), path.c_str(), IN_MODIFY) >= 0);
    const UniqueFd anew = open_file(path, O_RDWR);
    CHECK(::pwrite(anew.get(), "x", 1, 0) == 1);
  }
  uint32_t seen = 0;
  alignas(inotify_event) char events[4096];
  const ssize_t got = ::read(watcher.get(), events, sizeof events);
  for (ssize_t at = 0; at < got;) {
    inotify_event event{};
    std::memcpy(&event, events + at, sizeof event);
    seen |= event.mask;
    at += static_cast<ssize_t>(sizeof event + event.len);
  }
  CHECK((seen & IN_MODIFY) != 0);
  CHECK((seen & IN_IGNORED) != 0);  // its inode is gone
}

TEST_CASE("the file can't be made set-user-ID") {
  const Opened file = open_over(own_dmabuf(kPage).get(), kPage);
  REQUIRE(file.error == 0);
  for (const mode_t mode : {04600, 02610, 06777}) {
    CHECK(::fchmod(file.fd.get(), mode) == -1);
    CHECK(errno == EPERM);
  }
  CHECK(::fchmod(file.fd.get(), 0640) == 0);
  struct stat st {};
  REQUIRE(::fstat(file.fd.get(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0640);
}

TEST_CASE("an unbound file is empty until BIND, which comes once") {
  const Opened file = open_over(-1, 0);
  REQUIRE(file.error == 0);
  char byte = 0;
  CHECK(size_of(file.fd.get()) == 0);
  CHECK(::pread(file.fd.get(), &byte, 1, 0) == 0);
  CHECK(::pwrite(file.fd.get(), &byte, 1, 0) == -1);
  CHECK(errno == ENOSPC);
  CHECK(::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file.fd.get(), 0) == MAP_FAILED);
  const Buffer buffer(heap_dmabuf(kPage));
  CHECK(bind(file.fd.get(), buffer.fd(), kPage + 1) == EINVAL);
  CHECK(bind(file.fd.get(), file.fd.get(), kPage) == EINVAL);
  CHECK(bind(file.fd.get(), buffer.fd(), kPage) == 0);
  CHECK(bind(file.fd.get(), buffer.fd(), kPage) == EBUSY);
  CHECK(::pwrite(file.fd.get(), "z", 1, 17) == 1);
  CHECK(buffer.content()[17] == 'z');
}

TEST_CASE("another dma-buf takes the place of one that was never mapped") {
  const Buffer first(heap_dmabuf(kPage)), second(heap_dmabuf(2 * kPage));
  first.fill(std::vector<char>(kPage, '1'));
  second.fill(std::vector<char>(2 * kPage, '2'));
  const Opened file = open_over(first.fd(), kPage);
  REQUIRE(file.error == 0);
  char byte = 0;
  CHECK(bind(file.fd.get(), second.fd(), 2 * kPage + 1, DMABUF_FILE_BIND_REPLACE) == EINVAL);
  CHECK(::pread(file.fd.get(), &byte, 1, 0) == 1);
  CHECK(byte == '1');
  REQUIRE(bind(file.fd.get(), second.fd(), 2 * kPage, DMABUF_FILE_BIND_REPLACE) == 0);
  CHECK(size_of(file.fd.get()) == 2 * kPage);
  CHECK(::pread(file.fd.get(), &byte, 1, kPage) == 1);
  CHECK(byte == '2');

  CHECK(bind(file.fd.get(), -1, 1, DMABUF_FILE_BIND_REPLACE) == EINVAL);
  CHECK(bind(file.fd.get(), -1, 0) == EINVAL);
  REQUIRE(bind(file.fd.get(), -1, 0, DMABUF_FILE_BIND_REPLACE) == 0);
  CHECK(size_of(file.fd.get()) == 0);
  CHECK(::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file.fd.get(), 0) == MAP_FAILED);
  REQUIRE(bind(file.fd.get(), first.fd(), kPage) == 0);
  CHECK(::pread(file.fd.get(), &byte, 1, 0) == 1);
  CHECK(byte == '1');
}

TEST_CASE("what was mapped once stays; its length may change, and nothing is zeroed") {
  const Buffer buffer(heap_dmabuf(2 * kPage)), other(heap_dmabuf(2 * kPage));
  buffer.fill(std::vector<char>(2 * kPage, 'm'));
  const Opened file = open_over(buffer.fd(), 2 * kPage);
  REQUIRE(file.error == 0);
  REQUIRE(Mapping::of_file(file.fd.get(), 0, kPage, PROT_READ));  // and unmapped
  CHECK(bind(file.fd.get(), other.fd(), kPage, DMABUF_FILE_BIND_REPLACE) == EBUSY);
  CHECK(bind(file.fd.get(), -1, 0, DMABUF_FILE_BIND_REPLACE) == EBUSY);
  CHECK(size_of(file.fd.get()) == 2 * kPage);
  REQUIRE(bind(file.fd.get(), buffer.fd(), 10, DMABUF_FILE_BIND_REPLACE) == 0);
  CHECK(size_of(file.fd.get()) == 10);
  REQUIRE(bind(file.fd.get(), buffer.fd(), 2 * kPage, DMABUF_FILE_BIND_REPLACE) == 0);
  CHECK(same(buffer.content(), std::vector<char>(2 * kPage, 'm')));
}

TEST_CASE("a mapping that was refused pins nothing") {
  const Buffer buffer(heap_dmabuf(2 * kPage)), other(heap_dmabuf(2 * kPage));
  const Opened file = open_over(buffer.fd(), 2 * kPage);
  REQUIRE(file.error == 0);
  CHECK(::mmap(nullptr, 8 * kPage, PROT_READ, MAP_SHARED, file.fd.get(), 0) == MAP_FAILED);
  CHECK(bind(file.fd.get(), other.fd(), kPage, DMABUF_FILE_BIND_REPLACE) == 0);
}

TEST_CASE("it can be longer than 2 GiB") {
  const Opened file = open_over(-1, 0);
  REQUIRE(file.error == 0);
  CHECK(::ftruncate(file.fd.get(), off_t{3} << 30) == -1);
  CHECK(errno == ENOSPC);  // not EINVAL or EFBIG, as without O_LARGEFILE
}

TEST_CASE("a dma-buf that is replaced while others read is read whole, or the other one") {
  const Buffer first(heap_dmabuf(16 * kPage)), second(heap_dmabuf(16 * kPage));
  first.fill(std::vector<char>(16 * kPage, '1'));
  second.fill(std::vector<char>(16 * kPage, '2'));
  const Opened file = open_over(first.fd(), 16 * kPage);
  REQUIRE(file.error == 0);
  std::atomic<bool> stop{false};
  std::atomic<int> mixed{0};
  std::thread reader([&] {
    std::vector<char> bytes(16 * kPage);
    while (!stop) {
      const ssize_t got = ::pread(file.fd.get(), bytes.data(), bytes.size(), 0);
      const auto there = static_cast<size_t>(std::max<ssize_t>(got, 0));
      if (got < 0 || std::count(bytes.begin(), bytes.begin() + got, bytes[0]) != got ||
          (there != bytes.size() && there != 0))
        ++mixed;
    }
  });
  for (int round = 0; round < 300; ++round) {
    REQUIRE(bind(file.fd.get(), second.fd(), 16 * kPage, DMABUF_FILE_BIND_REPLACE) == 0);
    REQUIRE(bind(file.fd.get(), -1, 0, DMABUF_FILE_BIND_REPLACE) == 0);
    REQUIRE(bind(file.fd.get(), first.fd(), 16 * kPage, DMABUF_FILE_BIND_REPLACE) == 0);
  }
  stop = true;
  reader.join();
  CHECK(mixed == 0);
}

TEST_CASE("a reader who waits for its own memory holds up nobody") {
  const Buffer first(heap_dmabuf(kPage)), second(heap_dmabuf(2 * kPage));
  first.fill(std::vector<char>(kPage, '1'));
  second.fill(std::vector<char>(2 * kPage, '2'));
  const Opened file = open_over(first.fd(), kPage);
  REQUIRE(file.error == 0);
  const LateMemory memory;
  std::atomic<ssize_t> got{-1};
  std::thread reader([&] { got = ::pread(file.fd.get(), memory.data(), kPage, 0); });
  memory.wait_for_fault();  // now it waits

  REQUIRE(bind(file.fd.get(), second.fd(), 2 * kPage, DMABUF_FILE_BIND_REPLACE) == 0);
  CHECK(::pwrite(file.fd.get(), "w", 1, 5) == 1);
  CHECK(::ftruncate(file.fd.get(), kPage + 1) == 0);
  CHECK(got == -1);

  memory.come();
  reader.join();
  CHECK(got == static_cast<ssize_t>(kPage));
  CHECK(static_cast<char>(memory.data()[0]) == '2');
  CHECK(static_cast<char>(memory.data()[5]) == 'w');
}

TEST_CASE("a write that stops at the capacity, or at memory that is none, counts what it stored") {
  const Buffer buffer(heap_dmabuf(2 * kPage));
  const Opened file = open_over(buffer.fd(), 0);
  REQUIRE(file.error == 0);
  auto memory = Mapping::reserve(4 * kPage, kPage);
  REQUIRE(memory);
  REQUIRE(::mprotect(memory->data(), kPage, PROT_READ | PROT_WRITE) == 0);
  std::memset(memory->data(), 'm', kPage);
  CHECK(::pwrite(file.fd.get(), memory->data(), 2 * kPage, 100) == static_cast<ssize_t>(kPage));
  CHECK(size_of(file.fd.get()) == static_cast<off_t>(kPage + 100));
  CHECK(::pwrite(file.fd.get(), memory->data() + kPage, kPage, 0) == -1);
  CHECK(errno == EFAULT);
  CHECK(::pread(file.fd.get(), memory->data() + kPage, kPage, 0) == -1);
  CHECK(errno == EFAULT);
  CHECK(::pread(file.fd.get(), memory->data(), 2 * kPage, 0) == static_cast<ssize_t>(kPage));
  const std::vector<char> much(4 * kPage, 'l');
  CHECK(::pwrite(file.fd.get(), much.data(), much.size(), kPage) == static_cast<ssize_t>(kPage));
}

TEST_CASE("opened anew by its path it is the same file; from a read-only dma-buf it never is writable") {
  const Buffer buffer(heap_dmabuf(kPage));
  const Opened file = open_over(buffer.fd(), kPage);
  REQUIRE(file.error == 0);
  const UniqueFd again = open_file("/proc/self/fd/" + std::to_string(file.fd.get()), O_RDWR | O_DIRECT);
  CHECK(::pwrite(again.get(), "a", 1, 1) == 1);
  CHECK(buffer.content()[1] == 'a');

  const UniqueFd device = open_file("/dev/dma_heap/system", O_RDWR);
  dma_heap_allocation_data data{};
  data.len = kPage;
  data.fd_flags = O_RDONLY | O_CLOEXEC;
  REQUIRE(::ioctl(device.get(), DMA_HEAP_IOCTL_ALLOC, &data) == 0);
  const UniqueFd read_only(static_cast<int>(data.fd));
  CHECK(open_over(read_only.get(), kPage, O_RDWR).error == EACCES);
  const Opened reader = open_over(read_only.get(), kPage, O_RDONLY);
  REQUIRE(reader.error == 0);
  const std::string path = "/proc/self/fd/" + std::to_string(reader.fd.get());
  CHECK(::open(path.c_str(), O_RDWR) == -1);
  CHECK(::open(path.c_str(), O_RDONLY | O_TRUNC) == -1);
  CHECK(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, reader.fd.get(), 0) == MAP_FAILED);
}

TEST_CASE("what is cut off is gone, also from a mapping") {
  const Buffer buffer(heap_dmabuf(2 * kPage));
  buffer.fill(std::vector<char>(2 * kPage, 's'));
  const Opened file = open_over(buffer.fd(), 2 * kPage);
  REQUIRE(file.error == 0);
  auto mapping = Mapping::of_file(file.fd.get(), 0, 2 * kPage, PROT_READ);
  REQUIRE(mapping);
  REQUIRE(::ftruncate(file.fd.get(), 10) == 0);
  const char* bytes = reinterpret_cast<const char*>(mapping->data());
  CHECK(std::string(bytes, 10) == std::string(10, 's'));
  CHECK(std::count(bytes, bytes + 2 * kPage, 's') == 10);
}

TEST_CASE("what watches a file does not outlive it badly") {
  const UniqueFd watcher(::inotify_init1(IN_CLOEXEC));
  REQUIRE(watcher);
  {
    const Opened file = open_over(-1, 0);
    REQUIRE(file.error == 0);
    const std::string path = "/proc/self/fd/" + std::to_string(file.fd.get());
    REQUIRE(::inotify_add_watch(watcher.get(), path.c_str(), IN_MODIFY) >= 0);
  }
  const Buffer buffer(heap_dmabuf(kPage));
  CHECK(open_over(buffer.fd(), 2 * kPage).error == EINVAL);
}

TEST_CASE("writing and mapping one file in one process at once does not lock up") {
  const Buffer buffer(heap_dmabuf(kHuge));
  const Opened file = open_over(buffer.fd(), 0);
  REQUIRE(file.error == 0);
  std::atomic<bool> stop{false};
  std::thread mapper([&] {
    while (!stop) (void)Mapping::of_file(file.fd.get(), 0, kPage, PROT_READ);
  });
  for (int round = 0; round < 300; ++round) {
    auto fresh = Mapping::anonymous(64 * kPage);  // whose pages the write itself has to fault in
    REQUIRE(fresh);
    REQUIRE(::pwrite(file.fd.get(), fresh->data(), fresh->size(), 0) == static_cast<ssize_t>(fresh->size()));
    REQUIRE(::ftruncate(file.fd.get(), 0) == 0);
  }
  stop = true;
  mapper.join();
}

TEST_CASE("it can be spliced, appended to, and is no file for TRANSFER") {
  const Buffer buffer(heap_dmabuf(kHuge));
  const Opened file = open_over(buffer.fd(), 0);
  REQUIRE(file.error == 0);
  const auto content = random_bytes(kHuge);
  const File source(content);
  CHECK(::sendfile(file.fd.get(), source.fd(), nullptr, kHuge) == static_cast<ssize_t>(kHuge));
  CHECK(same(buffer.content(), content));
  const File target({});
  CHECK(::lseek(file.fd.get(), 0, SEEK_SET) == 0);
  CHECK(::sendfile(target.fd(), file.fd.get(), nullptr, kHuge) == static_cast<ssize_t>(kHuge));
  CHECK(same(target.content(), content));
  CHECK(transfer(buffer.fd(), file.fd.get(), {{0, 0, kPage}}).error == EOPNOTSUPP);
}
