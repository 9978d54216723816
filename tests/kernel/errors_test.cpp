// SPDX-License-Identifier: MIT
// What the ioctls refuse, and how.
#include <linux/fs.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "kernel/kernel_support.h"

using namespace kernel;

TEST_CASE("QUERY tells what there is") {
  dmabuf_file_query query{};
  REQUIRE(call(DMABUF_FILE_QUERY, query) == 0);
  CHECK(query.version == DMABUF_FILE_VERSION);
  CHECK(query.max_segments == 1024);
  CHECK((query.features & DMABUF_FILE_HAS_TRANSFER) != 0);
  query.reserved[1] = 1;
  CHECK(call(DMABUF_FILE_QUERY, query) == EINVAL);
}

TEST_CASE("structures of another size") {
  struct {
    dmabuf_file_query query;
    char more[64];
  } newer{};
  newer.query.size = sizeof newer;
  CHECK(call(DMABUF_FILE_QUERY, newer.query) == 0);
  newer.more[7] = 1;
  CHECK(call(DMABUF_FILE_QUERY, newer.query) == E2BIG);
  for (const uint32_t size : {1u, 7u, 24u}) {
    dmabuf_file_query bad{};
    bad.size = size;
    CHECK(call(DMABUF_FILE_QUERY, bad) == EINVAL);
  }
  dmabuf_file_query huge{};
  huge.size = 1u << 20;
  CHECK(call(DMABUF_FILE_QUERY, huge) == E2BIG);
  CHECK(::ioctl(device(), DMABUF_FILE_QUERY, nullptr) == -1);
  CHECK(errno == EFAULT);
  CHECK(::ioctl(device(), _IO(DMABUF_FILE_IOC_MAGIC, 99), &huge) == -1);
  CHECK(errno == ENOTTY);
}

TEST_CASE("flags and reserved members that are not known") {
  dmabuf_file_query query{};
  query.flags = 1;
  CHECK(call(DMABUF_FILE_QUERY, query) == EINVAL);
  dmabuf_file_transfer move{};
  move.flags = 1u << 31;
  CHECK(call(DMABUF_FILE_TRANSFER, move) == EINVAL);
  dmabuf_file_alloc alloc{};
  alloc.length = kPage;
  alloc.flags = 1;
  CHECK(call(DMABUF_FILE_ALLOC, alloc) == EINVAL);
  alloc.flags = 0;
  alloc.fd_flags = O_APPEND;
  CHECK(call(DMABUF_FILE_ALLOC, alloc) == EINVAL);
  dmabuf_file_load load{};
  load.length = kPage;
  load.reserved = 1;
  CHECK(call(DMABUF_FILE_LOAD, load) == EINVAL);
  dmabuf_file_bind bind{};
  bind.flags = 1;
  CHECK(call(DMABUF_FILE_BIND, bind) == EINVAL);
}

TEST_CASE("descriptors that are none, or not open for what is needed") {
  const File file(random_bytes(4 * kPage));
  const Buffer buffer(heap_dmabuf(4 * kPage));
  const std::vector<Segment> all{{0, 0, kPage}};
  const UniqueFd reader = open_file(file.path(), O_RDONLY), writer = open_file(file.path(), O_WRONLY),
                 appender = open_file(file.path(), O_RDWR | O_APPEND), path = open_file(file.path(), O_PATH),
                 folder = open_file(directory(), O_RDONLY | O_DIRECTORY),
                 null = open_file("/dev/null", O_RDWR);
  CHECK(transfer(-1, file.fd(), all).error == EBADF);
  CHECK(transfer(buffer.fd(), -1, all).error == EBADF);
  CHECK(transfer(file.fd(), file.fd(), all).error == EINVAL);
  CHECK(transfer(buffer.fd(), buffer.fd(), all).error == EINVAL);
  CHECK(transfer(buffer.fd(), writer.get(), all).error == EBADF);
  CHECK(transfer(buffer.fd(), reader.get(), all, DMABUF_FILE_TO_FILE).error == EBADF);
  CHECK(transfer(buffer.fd(), appender.get(), all, DMABUF_FILE_TO_FILE).error == EBADF);
  CHECK(transfer(buffer.fd(), appender.get(), all).error == 0);
  CHECK(transfer(buffer.fd(), path.get(), all).error == EBADF);
  CHECK(transfer(buffer.fd(), folder.get(), all).error == EINVAL);
  CHECK(transfer(buffer.fd(), null.get(), all).error == EINVAL);

  const UniqueFd heap = open_file("/dev/dma_heap/system", O_RDWR);
  dma_heap_allocation_data data{};
  data.len = kPage;
  data.fd_flags = O_RDONLY | O_CLOEXEC;
  REQUIRE(::ioctl(heap.get(), DMA_HEAP_IOCTL_ALLOC, &data) == 0);
  const UniqueFd read_only(static_cast<int>(data.fd));
  CHECK(transfer(read_only.get(), file.fd(), all).error == EBADF);
  CHECK(transfer(read_only.get(), file.fd(), all, DMABUF_FILE_TO_FILE).error == 0);
}

TEST_CASE("segments that don't fit") {
  const File file(random_bytes(4 * kPage));
  const Buffer buffer(heap_dmabuf(4 * kPage));
  const auto error = [&](const std::vector<Segment>& segments) {
    return transfer(buffer.fd(), file.fd(), segments).error;
  };
  CHECK(error({}) == EINVAL);
  CHECK(error(std::vector<Segment>(1025, Segment{0, 0, 1})) == EINVAL);
  CHECK(error({{0, 0, 0}}) == EINVAL);
  CHECK(error({{0, 0, 4 * kPage + 1}}) == EINVAL);
  CHECK(error({{4 * kPage, 0, 1}}) == EINVAL);
  CHECK(error({{UINT64_MAX, 0, 2}}) == EINVAL);
  CHECK(error({{0, UINT64_MAX, 2}}) == EINVAL);
  CHECK(error({{0, INT64_MAX, 1}}) == EINVAL);
  CHECK(error({{0, 0, kPage}, {0, 0, 5 * kPage}}) == EINVAL);
  dmabuf_file_transfer request{};
  request.dmabuf_fd = buffer.fd();
  request.file_fd = file.fd();
  request.segments = 8;
  request.segment_count = 1;
  CHECK(call(DMABUF_FILE_TRANSFER, request) == EFAULT);
}

TEST_CASE("what is not aligned is refused where direct I/O is required") {
  const File file(random_bytes(4 * kPage));
  const Buffer buffer(heap_dmabuf(4 * kPage));
  CHECK(transfer(buffer.fd(), file.fd(), {{1, 0, kPage}}, DMABUF_FILE_REQUIRE_DIRECT).error == EINVAL);
  CHECK(transfer(buffer.fd(), file.fd(), {{0, 1, kPage}}, DMABUF_FILE_REQUIRE_DIRECT).error == EINVAL);
  const Moved part = transfer(buffer.fd(), file.fd(), {{0, 0, kPage + 1}}, DMABUF_FILE_REQUIRE_DIRECT);
  CHECK(part.error == 0);
  CHECK(part.bytes == kPage);
}

TEST_CASE("a file in memory is no disk: told, or refused") {
  const UniqueFd memory(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::ftruncate(memory.get(), kPage) == 0);
  const Buffer buffer(heap_dmabuf(kPage));
  for (const uint32_t flags : {0u, static_cast<uint32_t>(DMABUF_FILE_TO_FILE)}) {
    const Moved moved = transfer(buffer.fd(), memory.get(), {{0, 0, kPage}}, flags);
    CHECK(moved.error == 0);
    CHECK((moved.how & (DMABUF_FILE_HOW_DIRECT | DMABUF_FILE_HOW_BUFFERED)) == DMABUF_FILE_HOW_BUFFERED);
    CHECK(transfer(buffer.fd(), memory.get(), {{0, 0, kPage}}, flags | DMABUF_FILE_REQUIRE_DIRECT).error ==
          EOPNOTSUPP);
  }
}

TEST_CASE("a file that must not change does not") {
  const File file(random_bytes(kPage));
  const Buffer buffer(heap_dmabuf(kPage));
  int flags = FS_IMMUTABLE_FL;
  REQUIRE(::ioctl(file.fd(), FS_IOC_SETFLAGS, &flags) == 0);
  CHECK(transfer(buffer.fd(), file.fd(), {{0, 0, kPage}}, DMABUF_FILE_TO_FILE).error == EPERM);
  flags = 0;
  REQUIRE(::ioctl(file.fd(), FS_IOC_SETFLAGS, &flags) == 0);
}

TEST_CASE("the limit of file sizes is the writer's") {
  const File file({});
  const Buffer buffer(heap_dmabuf(4 * kPage));
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{2 * kPage, 2 * kPage};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);
    const Segment all{0, 0, 4 * kPage};
    dmabuf_file_transfer request{};
    request.size = sizeof request;
    request.flags = DMABUF_FILE_TO_FILE;
    request.dmabuf_fd = buffer.fd();
    request.file_fd = file.fd();
    request.segments = reinterpret_cast<uintptr_t>(&all);
    request.segment_count = 1;
    const bool some = ::ioctl(device(), DMABUF_FILE_TRANSFER, &request) == 0 && request.bytes == 2 * kPage;
    const Segment beyond{0, 2 * kPage, kPage};
    request.segments = reinterpret_cast<uintptr_t>(&beyond);
    const bool none = ::ioctl(device(), DMABUF_FILE_TRANSFER, &request) == -1 && errno == EFBIG;
    ::_exit((some ? 0 : 1) | (none ? 0 : 2));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("a fatal signal ends a long transfer") {
  const size_t size = 64 * kHuge;
  const UniqueFd file = open_file(directory() + "/long", O_RDWR | O_CREAT | O_TRUNC);
  ::unlink((directory() + "/long").c_str());
  REQUIRE(::ftruncate(file.get(), static_cast<off_t>(size)) == 0);
  const Buffer buffer(heap_dmabuf(kHuge));
  const pid_t child = ::fork();
  if (child == 0) {
    const std::vector<Segment> segments(1024, Segment{0, 0, kHuge});
    for (;;) (void)transfer(buffer.fd(), file.get(), segments);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::kill(child, SIGKILL);
  int status = 0;
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}

TEST_CASE("a signal that is handled ends a transfer early, but no load") {
  const size_t size = 32 * kHuge;
  const File file(std::vector<char>(size, 'x'));
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGALRM, &action, &before) == 0);
  const itimerval often{{0, 2000}, {0, 2000}}, never{};
  REQUIRE(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
  const Segment all{0, 0, size};
  dmabuf_file_load request{};
  request.fd_flags = O_RDWR | O_CLOEXEC;
  request.length = size;
  request.file_fd = file.fd();
  request.segments = reinterpret_cast<uintptr_t>(&all);
  request.segment_count = 1;
  const int error = call(DMABUF_FILE_LOAD, request);
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  CHECK(error == 0);
  CHECK(request.bytes == size);
  const UniqueFd loaded(request.dmabuf_fd);
}

TEST_CASE("transfers of several threads into one buffer, and a file cut beside them, end") {
  const size_t size = 8 * kHuge;
  const auto content = random_bytes(size);
  const File file(content);
  const Buffer buffer(heap_dmabuf(size));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        const Segment all{0, 0, size};
        dmabuf_file_transfer request{};
        request.size = sizeof request;
        request.dmabuf_fd = buffer.fd();
        request.file_fd = file.fd();
        request.segments = reinterpret_cast<uintptr_t>(&all);
        request.segment_count = 1;
        if (::ioctl(device(), DMABUF_FILE_TRANSFER, &request) != 0 || request.bytes > size) ++wrong;
      }
    });
  for (int round = 0; round < 10; ++round) {
    CHECK(::ftruncate(file.fd(), static_cast<off_t>(round % 2 ? size : size / 2)) == 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}
