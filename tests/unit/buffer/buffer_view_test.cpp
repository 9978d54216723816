// SPDX-License-Identifier: MIT
/// Looking at a buffer's bytes where they lie, as replies to reads do.
#include <sys/stat.h>

#include <optional>

#include "buffer_support.h"

using namespace buffer_test;

namespace {

/// What a view shows; nothing when it is refused.
std::optional<Bytes> seen(Buffer& buffer, uint64_t offset, size_t length) {
  std::optional<Bytes> bytes;
  const auto viewed = buffer.view(
      offset, length, [&](std::span<const std::byte> there) { bytes.emplace(there.begin(), there.end()); });
  REQUIRE(viewed);
  REQUIRE(*viewed == bytes.has_value());
  return bytes;
}

uint64_t allocated(const Buffer& buffer) {
  struct stat st {};
  REQUIRE(::fstat(buffer.passthrough_fd(), &st) == 0);
  return static_cast<uint64_t>(st.st_blocks) * 512;
}

}  // namespace

TEST_CASE("a view shows the bytes that a read brings") {
  Bench bench;
  std::mt19937 random(1);
  const Bytes written = random_bytes(3 * kMiB + 1234, random);
  const auto check = [&](std::shared_ptr<Heap> heap) {
    const auto buffer = bench.buffer(std::move(heap));
    REQUIRE(seen(*buffer, 0, 10) == std::nullopt);
    REQUIRE(buffer->write(0, written));
    for (const bool flushed : {false, true}) {
      if (flushed) REQUIRE(buffer->flush());
      // A dma-heap's own memory can't be looked at; what it collects before it is made can.
      const auto whole = seen(*buffer, 0, written.size() + 99);
      REQUIRE((whole == written || (!whole && buffer->heap().kind() == HeapKind::DmaHeap)));
      if (!whole) continue;
      REQUIRE(seen(*buffer, 4097, 5000) == Bytes(written.begin() + 4097, written.begin() + 9097));
      REQUIRE(seen(*buffer, written.size() - 7, kMiB) == Bytes(written.end() - 7, written.end()));
      REQUIRE(seen(*buffer, written.size(), 1) == std::nullopt);
      REQUIRE(seen(*buffer, 0, 0) == std::nullopt);
    }
    // It grows while a view of its start is there already, and is cut.
    REQUIRE(buffer->write(5 * kMiB, filled(10, 7)));
    if (const auto tail = seen(*buffer, 5 * kMiB, 100)) REQUIRE(*tail == filled(10, 7));
    REQUIRE(buffer->resize(kMiB));
    REQUIRE(seen(*buffer, kMiB, 1) == std::nullopt);
    buffer->idle();
    if (const auto last = seen(*buffer, kMiB - 1, 2)) REQUIRE(*last == Bytes{written[kMiB - 1]});
  };
  on_each_dmabuf_heap(bench, check);
  check(real_heap(bench, "memfd"));
}

TEST_CASE("a view of a memfd buffer with holes is refused, because looking would allocate them") {
  Bench bench;
  const auto buffer = bench.buffer(real_heap(bench, "memfd"));
  REQUIRE(buffer->resize(64 * kMiB));
  REQUIRE(buffer->write(kMiB, filled(100, 3)));
  REQUIRE(seen(*buffer, 0, kMiB) == std::nullopt);
  REQUIRE(seen(*buffer, kMiB, 100) == std::nullopt);
  // Pages behind the end must not be taken for those that are missing in the middle.
  REQUIRE(buffer->allocate({64 * kMiB, 64 * kMiB}, true));
  const uint64_t before = allocated(*buffer);
  REQUIRE(seen(*buffer, 0, kMiB) == std::nullopt);
  REQUIRE(allocated(*buffer) == before);
}
