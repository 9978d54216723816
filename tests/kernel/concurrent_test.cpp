// SPDX-License-Identifier: MIT
// What happens beside a transfer: other transfers, a file that is cut, signals.
#include <sys/time.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <thread>

#include "kernel/kernel_support.h"
#include "tools/vgem_fence.h"

using namespace kernel;

namespace {

/// transfer() without assertions, which only the main thread may make.
Moved quiet_transfer(int buffer, int file, const Segment& segment, uint32_t flags) {
  dmabuf_file_transfer request{};
  request.size = sizeof request;
  request.flags = flags;
  request.dmabuf_fd = buffer;
  request.file_fd = file;
  request.segments = reinterpret_cast<uintptr_t>(&segment);
  request.segment_count = 1;
  const int error = ::ioctl(device(), DMABUF_FILE_TRANSFER, &request) == 0 ? 0 : errno;
  return {error, request.bytes, request.how};
}

/// The fences of one dma-buf, to be put on another in a moment.
UniqueFd fences_of(int dmabuf) {
  dma_buf_export_sync_file request{DMA_BUF_SYNC_RW, -1};
  REQUIRE(::ioctl(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &request) == 0);
  return UniqueFd(request.fd);
}

}  // namespace

TEST_CASE("two transfers into the halves of one buffer, and two out of it, don't disturb each other") {
  const size_t half = 6 * kHuge;
  const auto content = random_bytes(2 * half);
  const File file(content);
  const UniqueFd back = open_file(directory() + "/back", O_RDWR | O_CREAT | O_TRUNC);
  ::unlink((directory() + "/back").c_str());
  REQUIRE(::ftruncate(back.get(), 2 * half) == 0);
  for (const Exporter& exporter : exporters()) {
    INFO(exporter.name);
    const Buffer buffer(exporter.make(2 * half));
    std::atomic<int> wrong{0};
    for (const bool to_file : {false, true}) {
      std::vector<std::thread> threads;
      for (const size_t at : {size_t{0}, half})
        threads.emplace_back([&, at] {
          const Moved moved = quiet_transfer(buffer.fd(), to_file ? back.get() : file.fd(), {at, at, half},
                                             to_file ? DMABUF_FILE_TO_FILE : 0);
          if (moved.error != 0 || moved.bytes != half) ++wrong;
        });
      for (std::thread& thread : threads) thread.join();
    }
    CHECK(wrong == 0);
    CHECK(same(buffer.content(), content));
    std::vector<char> stored(2 * half);
    CHECK(::pread(back.get(), stored.data(), stored.size(), 0) == static_cast<ssize_t>(stored.size()));
    CHECK(same(stored, content));
  }
}

TEST_CASE("a file that is cut while it is written holds what was written, or zeroes") {
  const size_t size = 8 * kHuge;
  const File file(std::vector<char>(size, 'a'));
  const Buffer buffer(heap_dmabuf(size));
  buffer.fill(std::vector<char>(size, 'b'));
  std::atomic<bool> done{false};
  std::thread cutter([&] {
    for (size_t round = 1; !done; ++round) {
      (void)::ftruncate(file.fd(), static_cast<off_t>(size / 4 * (round % 4)));
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  });
  int wrong = 0;
  for (int round = 0; round < 20; ++round) {
    const Moved moved = quiet_transfer(buffer.fd(), file.fd(), {0, 0, size}, DMABUF_FILE_TO_FILE);
    if (moved.error != 0 || moved.bytes != size) ++wrong;
  }
  done = true;
  cutter.join();
  CHECK(wrong == 0);
  const auto left = file.content();
  CHECK(left.size() <= size);
  CHECK(std::all_of(left.begin(), left.end(), [](char byte) { return byte == 'b' || byte == 0; }));
  CHECK(transfer(buffer.fd(), file.fd(), {{0, 0, size}}, DMABUF_FILE_TO_FILE).bytes == size);
  CHECK(same(file.content(), std::vector<char>(size, 'b')));
}

TEST_CASE("a signal that is handled ends a transfer early: what is counted is there") {
  const auto content = random_bytes(kHuge);
  const File file(content);
  const size_t count = 1024;
  const UniqueFd target = open_file(directory() + "/out", O_RDWR | O_CREAT | O_TRUNC);
  ::unlink((directory() + "/out").c_str());
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGINT, &action, &before) == 0);
  const Buffer buffer(heap_dmabuf(kHuge));
  buffer.fill(content);
  std::vector<Segment> segments;
  for (size_t i = 0; i < count; ++i) segments.push_back({0, 0, kHuge});
  const pid_t thread = ::gettid();
  for (const uint32_t flags : {0u, static_cast<uint32_t>(DMABUF_FILE_TO_FILE)}) {
    std::atomic<bool> over{false};
    // Again and again: one that comes before the call ends nothing.
    std::thread sender([thread, &over] {
      while (!over) {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        ::tgkill(::getpid(), thread, SIGINT);
      }
    });
    const Moved moved = transfer(buffer.fd(), flags == 0 ? file.fd() : target.get(), segments, flags);
    over = true;
    sender.join();
    CHECK(moved.error == 0);
    CHECK(moved.bytes > 0);
    CHECK(moved.bytes < count * kHuge);
    // Whole pieces are counted: the one it was in, too.
    CHECK(moved.bytes % kHuge == 0);
  }
  REQUIRE(::sigaction(SIGINT, &before, nullptr) == 0);
  std::vector<char> stored(kHuge);
  CHECK(::pread(target.get(), stored.data(), kHuge, 0) == static_cast<ssize_t>(kHuge));
  CHECK(same(stored, content));
}

TEST_CASE("SIGINT that is not handled ends a transfer, and its buffer goes") {
  const File file(std::vector<char>(kHuge, 'x'));
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);
    const Buffer buffer(own_dmabuf(kHuge));
    const std::vector<Segment> segments(1024, Segment{0, 0, kHuge});
    for (;;) (void)transfer(buffer.fd(), file.fd(), segments);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::kill(child, SIGINT);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGINT);
}

TEST_CASE("what lies behind the end of a file stays as it is in the buffer") {
  const size_t length = 100'000;
  const File file(random_bytes(length));
  for (const Exporter& exporter : exporters()) {
    INFO(exporter.name);
    const Buffer buffer(exporter.make(kHuge));
    const auto before = random_bytes(kHuge, 9);
    buffer.fill(before);
    const Moved moved = transfer(buffer.fd(), file.fd(), {{0, 0, kHuge}});
    CHECK(moved.bytes == length);
    const auto after = buffer.content();
    // The rest of its last block may be zeroes now.
    const auto block = static_cast<ptrdiff_t>((length + kPage - 1) / kPage * kPage);
    CHECK(std::equal(before.begin() + block, before.end(), after.begin() + block));
  }
}

namespace {

/// A transfer into a new udmabuf, and `other` while that waits for a device. The first access of a udmabuf
/// takes long, so the device's fence comes in the midst of it at some of these times.
void while_a_writer_waits(uint32_t device_access, const std::function<Moved(int busy, int file)>& other) {
  using std::chrono::steady_clock;
  const File file(random_bytes(kPage));
  const Segment page{0, 0, kPage};
  const auto make = [] { return Buffer(udmabuf(32 * kHuge, false)); };
  const Buffer first = make();
  const auto start = steady_clock::now();
  REQUIRE(transfer(first.fd(), file.fd(), {page}).bytes == kPage);
  const auto took = steady_clock::now() - start;
  const int times = 12;
  for (int time = 0; time < times; ++time) {
    const Buffer busy = make(), scratch(heap_dmabuf(kPage));
    auto fence = vgem::Fence::put_on(scratch.fd(), true);
    REQUIRE(fence);
    const UniqueFd sync_file = fences_of(scratch.fd());
    auto waits = std::async(std::launch::async, quiet_transfer, busy.fd(), file.fd(), page, 0);
    std::this_thread::sleep_for(took * time / times);
    dma_buf_import_sync_file imported{device_access, sync_file.get()};
    CHECK(::ioctl(busy.fd(), DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &imported) == 0);
    std::this_thread::sleep_for(2 * took);
    auto goes_on = std::async(std::launch::async, other, busy.fd(), file.fd());
    // vgem itself gives up on a fence after 10 s.
    CHECK(goes_on.wait_for(std::chrono::seconds(5)) == std::future_status::ready);
    fence->signal();
    CHECK(goes_on.get().bytes == kPage);
    CHECK(waits.get().bytes == kPage);
  }
}

}  // namespace

TEST_CASE("a device that is at one udmabuf holds up no other udmabuf") {
  const Buffer other(udmabuf(32 * kHuge, false));
  while_a_writer_waits(DMA_BUF_SYNC_WRITE, [&](int, int file) {
    return quiet_transfer(other.fd(), file, {0, 0, kPage}, 0);
  });
}

TEST_CASE("a device that reads a udmabuf holds up who writes to it, and nobody who reads it meanwhile") {
  const UniqueFd out = open_file(directory() + "/out", O_RDWR | O_CREAT | O_TRUNC);
  ::unlink((directory() + "/out").c_str());
  while_a_writer_waits(DMA_BUF_SYNC_READ, [&](int busy, int) {
    return quiet_transfer(busy, out.get(), {0, 0, kPage}, DMABUF_FILE_TO_FILE);
  });
}
