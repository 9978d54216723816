// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/dmabuf.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "buffer_support.h"
#include "dmabuffs/buffer/dma_buffer.h"
#include "tools/vgem_fence.h"

using namespace buffer_test;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kLimit{300};

milliseconds time_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
}

/// A udmabuf of 8 KiB whose waits are short; nullptr when the machine can't make one, or no fences (vgem).
std::shared_ptr<DmaBuffer> fenced_buffer(Bench& bench) {
  const auto heap = real_heap(bench, "udmabuf");
  if (!heap) return nullptr;
  const auto card = vgem::open_card();
  if (must_be_real()) REQUIRE(card);
  if (!card) return nullptr;
  auto buffer = std::make_shared<DmaBuffer>(heap, bench.recycler, 0, "frame", DmabufFile{}, kLimit);
  REQUIRE(buffer->resize(8192));
  return buffer;
}

vgem::Fence fence_on(const DmaBuffer& buffer, bool writes) {
  auto fence = vgem::Fence::put_on(buffer.info().pid_fd, writes);
  REQUIRE(fence);
  return std::move(*fence);
}

}  // namespace

TEST_CASE("a bracket round something that is no dma-buf is refused with its name") {
  const int null = ::open("/dev/null", O_RDWR);
  const auto bracket = CpuAccess::begin(null, Access::Read, "frame");
  ::close(null);
  REQUIRE_FALSE(bracket);
  REQUIRE(bracket.error().code == EIO);
  REQUIRE(bracket.error().message.starts_with("frame: the exporter refused CPU access"));
}

TEST_CASE("brackets of one dma-buf are begun one at a time") {
  const int null = ::open("/dev/null", O_RDWR);  // refuses, once it is asked
  std::mutex one_at_a_time;
  std::atomic<bool> refused{false};
  std::unique_lock other(one_at_a_time);
  std::thread reader(
      [&] { refused = !CpuAccess::begin(null, Access::Read, "frame", kLimit, &one_at_a_time); });
  std::this_thread::sleep_for(milliseconds(100));
  CHECK_FALSE(refused);
  other.unlock();
  reader.join();
  CHECK(refused);
  ::close(null);
}

TEST_CASE(
    "a dma-buf is bracketed once it was handed out: the first access may take long, the next ones don't") {
  Bench bench;
  const auto heap = real_heap(bench, "udmabuf");
  if (!heap) return;
  const auto buffer = bench.buffer(heap);
  REQUIRE(buffer->resize(8192));
  Bytes bytes(100);
  REQUIRE_FALSE(buffer->would_block(Access::Read));
  REQUIRE(buffer->read(0, bytes));
  REQUIRE_FALSE(buffer->would_block(Access::Read));
  REQUIRE(buffer->hand_out(false, nullptr));
  REQUIRE(buffer->would_block(Access::Read));  // not yet accessed: the read was not bracketed
  REQUIRE(buffer->read(0, bytes));
  REQUIRE_FALSE(buffer->would_block(Access::Read));
}

TEST_CASE("an idle dma-buf has no fence pending and is bracketed at once") {
  Bench bench;
  for (const char* name : {"udmabuf", "system"}) {
    const auto heap = real_heap(bench, name);
    if (!heap) continue;
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->resize(4096));
    const int fd = buffer->info().pid_fd;
    REQUIRE_FALSE(fence_pending(fd, Access::Read));
    REQUIRE_FALSE(fence_pending(fd, Access::Write));
    auto bracket = CpuAccess::begin(fd, Access::Write, "frame");
    REQUIRE(bracket);
    CpuAccess moved = std::move(*bracket);
    moved.end();
    REQUIRE(CpuAccess::begin(fd, Access::Read, "frame"));
  }
}

TEST_CASE("a device that writes keeps readers and writers waiting up to the limit, then they get EIO") {
  Bench bench;
  const auto buffer = fenced_buffer(bench);
  if (!buffer) return;
  auto fence = fence_on(*buffer, true);
  REQUIRE(buffer->would_block(Access::Read));
  REQUIRE(buffer->would_block(Access::Write));
  Bytes bytes(100);
  Result<size_t> got = 0;
  REQUIRE(time_of([&] { got = buffer->read(0, bytes); }) >= kLimit);
  REQUIRE_FALSE(got);
  REQUIRE(got.error().code == EIO);
  REQUIRE(got.error().message == "frame: a device still uses the buffer (fence not signalled within 0.3 s)");

  SECTION("later calls fail at once while the fence stays") {
    for (int call = 0; call < 5; ++call) {
      REQUIRE(time_of([&] { got = buffer->read(0, bytes); }) < kLimit / 2);
      REQUIRE_FALSE(got);
    }
  }
  SECTION("every way to the bytes fails, and changes nothing") {
    REQUIRE(buffer->write(0, filled(10, 1)).error().code == EIO);
    REQUIRE(buffer->zero({0, 10}).error().code == EIO);
    REQUIRE(buffer->lease({0, 10}, Access::Read, 0).error().code == EIO);
    REQUIRE(buffer->lease({0, 10}, Access::Write, 10).error().code == EIO);
    REQUIRE(buffer->resize(8000).error().code == EIO);
    REQUIRE(buffer->size() == 8192);
    REQUIRE(buffer->flush());
  }
  fence.signal();
  REQUIRE_FALSE(buffer->would_block(Access::Read));
  REQUIRE(buffer->read(0, bytes));
  REQUIRE(buffer->write(0, bytes));
}

TEST_CASE("a device that only reads does not hold up readers") {
  Bench bench;
  const auto buffer = fenced_buffer(bench);
  if (!buffer) return;
  auto fence = fence_on(*buffer, false);
  REQUIRE_FALSE(buffer->would_block(Access::Read));
  REQUIRE(buffer->would_block(Access::Write));
  Bytes bytes(100);
  REQUIRE(buffer->read(0, bytes));
  REQUIRE_FALSE(buffer->write(0, bytes));
  REQUIRE(buffer->read(0, bytes));
  fence.signal();
  REQUIRE(buffer->write(0, bytes));
}

TEST_CASE("an access that waits goes on when the device is done") {
  Bench bench;
  const auto buffer = fenced_buffer(bench);
  if (!buffer) return;
  auto fence = fence_on(*buffer, true);
  std::thread device([&] {
    std::this_thread::sleep_for(kLimit / 3);
    fence.signal();
  });
  Bytes bytes(100);
  const auto got = buffer->read(0, bytes);
  device.join();
  REQUIRE(got);
}
