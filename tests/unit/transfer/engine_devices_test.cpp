// SPDX-License-Identifier: MIT
/// Copies between files and real dma-bufs, where the machine has the devices.
#include "heap_support.h"
#include "transfer_support.h"

using namespace transfer_test;
using heap_test::have_device;

namespace {

struct Case {
  const char* heap;
  const char* device;
  Path path;
};

constexpr Case kCases[] = {{"udmabuf", "/dev/udmabuf", Path::PinnedDirect},
                           {"system", "/dev/dma_heap/system", Path::BounceDirect}};

}  // namespace

TEST_CASE("devices: a file goes into a real dma-buf and out again by the path its memory allows") {
  for (const Case& heap : kCases) {
    if (!have_device(heap.device)) continue;
    const DiskDirectory disk;
    Buffers buffers;
    Engine engine({});
    const Bytes bytes = pattern(9 * kMiB + 1234, 30);
    const TestFile file(disk.path(), "file", bytes), saved(disk.path(), "saved");
    file.make_cold();
    const auto buffer = buffers.make(heap.heap);
    Copy load;
    load.from = file.end();
    load.to = buffer;
    load.length = load.expected_end = bytes.size();
    const Outcome loaded = engine.copy(load);
    INFO(heap.heap);
    if (loaded.error) FAIL(loaded.error->message);
    CHECK(loaded.bytes == bytes.size());
    CHECK(by(loaded, heap.path) >= 9 * kMiB);
    CHECK(by(loaded, Path::Buffered) == 0);
    CHECK(buffer->info().is_dmabuf);
    CHECK(content(*buffer) == bytes);

    Copy save;
    save.from = buffer;
    save.to = saved.end();
    save.length = bytes.size();
    const Outcome stored = engine.copy(save);
    if (stored.error) FAIL(stored.error->message);
    CHECK(by(stored, heap.path) == 9 * kMiB);
    CHECK(saved.size() == bytes.size());
    CHECK(saved.content() == bytes);
  }
}

TEST_CASE("devices: every path reaches a real dma-buf, at odd offsets too") {
  for (const Case& heap : kCases) {
    if (!have_device(heap.device)) continue;
    const DiskDirectory disk;
    Buffers buffers;
    Engine engine({});
    const Bytes bytes = pattern(3 * kMiB + 77, 31);
    const TestFile file(disk.path(), "file", bytes);
    const UniqueFd memory_file(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    REQUIRE(memory_file.valid());
    REQUIRE(::pwrite(memory_file.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    const auto other = buffers.make(bytes);
    const End sources[] = {file.end(),
                           std::make_shared<FileEnd>(memory_file.get(), UniqueFd(), "tmpfs", true), other};
    for (const End& source : sources) {
      const auto buffer = buffers.make(pattern(4 * kMiB, 32), heap.heap);
      Bytes expected = pattern(4 * kMiB, 32);
      Copy copy;
      copy.from = source;
      copy.to = buffer;
      copy.from_offset = 13;
      copy.to_offset = 1000;
      copy.length = 3 * kMiB;
      const Outcome outcome = engine.copy(copy);
      INFO(heap.heap);
      if (outcome.error) FAIL(outcome.error->message);
      std::copy_n(bytes.begin() + 13, 3 * kMiB, expected.begin() + 1000);
      CHECK(content(*buffer) == expected);
    }
  }
}

TEST_CASE("devices: require-direct refuses a dma-heap's buffer with the reason, before it allocates any") {
  if (!have_device("/dev/dma_heap/system")) return;
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const TestFile file(disk.path(), "file", pattern(kMiB, 33));
  const auto buffer = buffers.make("system");
  Copy copy;
  copy.from = file.end();
  copy.to = buffer;
  copy.length = kMiB;
  copy.require_direct = true;
  const Outcome outcome = engine.copy(copy);
  REQUIRE(outcome.error);
  CHECK(outcome.error->code == EIO);
  CHECK(outcome.error->message == file.path() + ": a direct transfer is required, but " +
                                      buffer->heap().not_pinnable_reason() +
                                      "; the kernel module dmabuf_file is not loaded");
  CHECK(buffer->info().capacity == 0);
}
