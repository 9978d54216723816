// SPDX-License-Identifier: MIT
/// Writes that are answered before their bytes have moved.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>

#include "buffer_support.h"
#include "dmabuffs/base/must_not_wait.h"

using namespace buffer_test;

namespace {

constexpr size_t kChunk = 128 << 10;

/// The byte at `offset` as the memory has it now, whatever the buffer's rules say.
std::byte in_memory(const Buffer& buffer, uint64_t offset) {
  std::byte byte{};
  REQUIRE(::pread(buffer.passthrough_fd(), &byte, 1, static_cast<off_t>(offset)) == 1);
  return byte;
}

/// Three writes one after the other, as cp makes them: from then on memory is there before the bytes come.
void begin_to_append(Buffer& buffer) {
  for (size_t i = 0; i < 2; ++i) {
    size_t accepted = 0;
    REQUIRE(buffer.write_behind(i * kChunk, filled(kChunk, 1), [&](size_t count) { accepted += count; }));
    REQUIRE(accepted == kChunk);
  }
}

}  // namespace

TEST_CASE("a write behind the last one is accepted before its bytes have moved, and counts in the size") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  begin_to_append(*buffer);
  bool asked = false;
  REQUIRE(buffer->write_behind(2 * kChunk, filled(kChunk, 7), [&](size_t count) {
    asked = true;
    CHECK(count == kChunk);
    CHECK(buffer->size() == 3 * kChunk);
    CHECK(in_memory(*buffer, 2 * kChunk) == std::byte{0});
  }));
  CHECK(asked);
  CHECK(in_memory(*buffer, 2 * kChunk) == std::byte{7});
  CHECK(in_memory(*buffer, 3 * kChunk - 1) == std::byte{7});
}

TEST_CASE("who reads after a write was accepted sees its bytes") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  begin_to_append(*buffer);
  std::thread reader;
  std::atomic<bool> begun{false};
  Bytes seen(kChunk);
  REQUIRE(buffer->write_behind(2 * kChunk, filled(kChunk, 7), [&](size_t) {
    reader = std::thread([&] {
      begun = true;
      const auto got = buffer->read(2 * kChunk, seen);
      if (!got || *got != kChunk) seen.clear();
    });
    while (!begun) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }));
  reader.join();
  CHECK(seen == filled(kChunk, 7));
}

TEST_CASE("a writer that appends is no reason to leave a worker") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  begin_to_append(*buffer);
  const MustNotWait here;
  REQUIRE(buffer->write_behind(2 * kChunk, filled(kChunk, 7), [&](size_t) {
    CHECK_FALSE(buffer->would_block(Access::Write, 4 * kChunk));
    CHECK_FALSE(buffer->would_block(Access::Read));
  }));
}

TEST_CASE("memory allocated ahead is given back by flush, truncation and a load") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  begin_to_append(*buffer);
  CHECK(buffer->info().capacity == 3 * kChunk);
  CHECK(bench.budget.used() == 3 * kChunk);
  SECTION("flush") {
    REQUIRE(buffer->flush());
  }
  SECTION("truncation") {
    REQUIRE(buffer->resize(kChunk));
    CHECK(buffer->info().capacity == kChunk);
    REQUIRE(buffer->resize(2 * kChunk));
    CHECK(buffer->info().capacity == kChunk);
    // Nothing is there that a write could be accepted for too early.
    REQUIRE(buffer->write_behind(2 * kChunk, filled(kChunk, 7),
                                 [&](size_t) { CHECK(in_memory(*buffer, 2 * kChunk) == std::byte{7}); }));
    REQUIRE(buffer->resize(2 * kChunk));
    REQUIRE(buffer->write(0, filled(2 * kChunk, 1)));
  }
  SECTION("a load") {
    REQUIRE(load(*buffer, 2 * kChunk, filled(kChunk, 2), 0, 3 * kChunk));
    REQUIRE(buffer->flush());
  }
  CHECK(buffer->size() == 2 * kChunk);
  CHECK(buffer->info().capacity == 2 * kChunk);
  CHECK(bench.budget.used() == 2 * kChunk);
}

TEST_CASE("what was allocated on demand stays when memory ahead of it is given back") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  REQUIRE(buffer->allocate({0, 3 * kChunk}, true));
  begin_to_append(*buffer);
  REQUIRE(buffer->flush());
  CHECK(buffer->info().capacity == 3 * kChunk);
}

TEST_CASE("no memory is allocated ahead for a short file, small writes or a full heap") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  const auto ignore = [](size_t) {};
  SECTION("one write") {
    REQUIRE(buffer->write_behind(0, filled(kChunk, 1), ignore));
    CHECK(buffer->info().capacity == kChunk);
  }
  SECTION("small writes") {
    for (uint64_t at = 0; at < 10; ++at) REQUIRE(buffer->write_behind(at * 4096, filled(4096, 1), ignore));
    CHECK(buffer->info().capacity == 10 * 4096);
  }
}

TEST_CASE("a full heap refuses a write behind the last one before it is accepted") {
  Bench bench(3 * kChunk - 4096);
  const auto buffer = memfd_buffer(bench);
  begin_to_append(*buffer);
  CHECK(buffer->info().capacity == 2 * kChunk);
  size_t accepted = 0;
  const auto count = [&](size_t bytes) { accepted += bytes; };
  REQUIRE(buffer->write_behind(2 * kChunk, filled(kChunk, 1), count));
  CHECK(accepted == kChunk - 4096);  // what still fits, as with write()
  const auto refused = buffer->write_behind(3 * kChunk - 4096, filled(kChunk, 1), count);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ENOSPC);
  CHECK(accepted == kChunk - 4096);
}

TEST_CASE("a write into a dma-buf's memory is accepted first as well, and whoever reads waits for it") {
  Bench bench;
  const bool published = GENERATE(false, true);
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->write(0, filled(kChunk, 1)));
    if (published) REQUIRE(buffer->resize(4 * kChunk));
    const uint64_t before = buffer->size();
    std::thread reader;
    Bytes seen(kChunk);
    std::optional<MustNotWait> here(std::in_place);
    REQUIRE(buffer->write_behind(kChunk, filled(kChunk, 7), [&](size_t count) {
      CHECK(count == kChunk);
      CHECK(buffer->size() == std::max<uint64_t>(before, 2 * kChunk));
      if (!buffer->info().is_dmabuf) CHECK_FALSE(buffer->would_block(Access::Read));
      reader = std::thread([&] { (void)buffer->read(kChunk, seen); });
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }));
    here.reset();
    reader.join();
    CHECK(seen == filled(kChunk, 7));
  });
}

TEST_CASE("a write that fails is not accepted") {
  Bench bench(2 * kMiB);
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    bool accepted = false;
    REQUIRE_FALSE(buffer->write_behind(64 * kMiB, filled(kChunk, 7), [&](size_t) { accepted = true; }));
    CHECK_FALSE(accepted);
    CHECK(buffer->size() == 0);
  });
}

TEST_CASE("times set after a write was accepted stay, and giving memory back changes none") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  begin_to_append(*buffer);
  const struct timespec then[2] = {{1000, 1}, {2000, 2}};
  std::thread setter;
  REQUIRE(buffer->write_behind(2 * kChunk, filled(kChunk, 7), [&](size_t) {
    setter = std::thread([&] {
      buffer->wait_for_accepted();
      ::futimens(buffer->passthrough_fd(), then);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }));
  setter.join();
  REQUIRE(buffer->flush());
  struct stat st {};
  REQUIRE(::fstat(buffer->passthrough_fd(), &st) == 0);
  CHECK(st.st_mtim.tv_sec == 2000);
  CHECK(st.st_mtim.tv_nsec == 2);
}
