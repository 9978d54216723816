// SPDX-License-Identifier: MIT
/// What it costs to fill a buffer in many steps, and that no step that fails loses anything.
#include "buffer_support.h"
#include "dmabuffs/transfer/transfer.h"
#include "transfer_support.h"

using namespace buffer_test;

namespace {

constexpr uint64_t kStep = 64 << 10;
constexpr int kSteps = 200;

/// Copies a file of `length` bytes as one request of copy_file_range after the other.
void copy_in_requests(Engine& engine, const transfer_test::TestFile& file,
                      const std::shared_ptr<Buffer>& buffer, uint64_t length, uint64_t request) {
  Copy copy;
  copy.from = file.end();
  copy.to = buffer;
  for (uint64_t at = 0; at < length; at += request) {
    copy.from_offset = copy.to_offset = at;
    PieceSize piece;
    const Outcome outcome = Transfer::of_request(engine, copy, request, length - at).next(piece);
    REQUIRE_FALSE(outcome.error);
    REQUIRE(outcome.bytes == std::min(request, length - at));
  }
}

}  // namespace

TEST_CASE("a file that is copied in several requests is allocated once") {
  const transfer_test::TemporaryDirectory directory("/var/tmp");
  const Bytes bytes = transfer_test::pattern(8 * kMiB + 5000, 3);
  const transfer_test::TestFile file(directory.path(), "file", bytes);
  Bench bench(0, 0);
  Engine engine({});
  for (const bool growable : {true, false}) {
    const auto heap = bench.plain(growable);
    const auto buffer = bench.buffer(heap);
    copy_in_requests(engine, file, buffer, bytes.size(), kMiB);
    CHECK(heap->created == 1);
    CHECK(buffer->info().capacity == heap->capacity_for(bytes.size()));
    CHECK(content(*buffer) == bytes);
  }
}

TEST_CASE(
    "a part of a file that would not fit as a whole can be copied, and holds no more once it is closed") {
  const transfer_test::TemporaryDirectory directory("/var/tmp");
  const Bytes bytes = transfer_test::pattern(8 * kMiB, 4);
  const transfer_test::TestFile file(directory.path(), "file", bytes);
  Engine engine({});
  for (const uint64_t limit : {4 * kMiB, 16 * kMiB}) {
    for (const bool growable : {true, false}) {
      Bench bench(limit, 0);
      const auto heap = bench.plain(growable);
      const auto buffer = bench.buffer(heap);
      Copy copy;
      copy.from = file.end();
      copy.to = buffer;
      PieceSize piece;
      const Outcome outcome = Transfer::of_request(engine, copy, kMiB, bytes.size()).next(piece);
      REQUIRE_FALSE(outcome.error);
      REQUIRE(outcome.bytes == kMiB);
      REQUIRE(buffer->flush());
      CHECK(buffer->info().capacity == kMiB);
      CHECK(bench.budget.used() == kMiB);
    }
  }
}

TEST_CASE("a file that is appended to and closed again and again is seldom moved, with an eighth of slack") {
  Bench bench(0, 0);
  for (const bool growable : {true, false}) {
    for (const bool by_load : {false, true}) {
      INFO("growable: " << growable << ", by load: " << by_load);
      const auto heap = bench.plain(growable);
      const auto buffer = bench.buffer(heap);
      for (uint64_t at = 0; at < kSteps * kStep; at += kStep) {
        const Bytes bytes = filled(kStep, static_cast<int>(at / kStep % 250) + 1);
        if (by_load) {
          REQUIRE(load(*buffer, at, bytes, kStep, at + kStep));
        } else {
          REQUIRE(buffer->write(at, bytes));
        }
        REQUIRE(buffer->flush());
      }
      CHECK(heap->created < kSteps / 3);
      const BufferInfo info = buffer->info();
      CHECK(info.size == kSteps * kStep);
      CHECK(info.capacity <= info.size + info.size / 8);
      const Bytes all = content(*buffer);
      for (uint64_t at = 0; at < info.size; at += kStep)
        REQUIRE(all_equal(std::span(all).subspan(at, kStep), static_cast<int>(at / kStep % 250) + 1));
    }
  }
}

TEST_CASE("a file that is appended to once holds no more than it needs") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->write(0, filled(kMiB, 1)));
    REQUIRE(buffer->flush());
    REQUIRE(buffer->write(kMiB, filled(100, 2)));
    REQUIRE(buffer->flush());
    CHECK(buffer->info().capacity == heap->capacity_for(kMiB + 100));
  });
}

TEST_CASE("slack that can't be had is done without") {
  Bench bench(10 * kStep, 0);
  const auto heap = bench.plain(false);
  const auto buffer = bench.buffer(heap);
  for (int step = 0; step < 5; ++step) {  // the last needs all there is while its bytes are moved
    REQUIRE(buffer->write(step * kStep, filled(kStep, 7)));
    REQUIRE(buffer->flush());
  }
  CHECK(buffer->size() == 5 * kStep);
  CHECK(all_equal(content(*buffer), 7));
}

TEST_CASE("a write that must move or zero much is told beforehand") {
  Bench bench;
  for (const bool growable : {true, false}) {
    const auto buffer = bench.buffer(bench.plain(growable));
    REQUIRE_FALSE(buffer->would_block(Access::Write, kMiB));
    REQUIRE(buffer->write(0, filled(kMiB, 1)));
    REQUIRE_FALSE(buffer->would_block(Access::Write, kMiB + 1));
    REQUIRE(buffer->flush());
    REQUIRE_FALSE(buffer->would_block(Access::Write, kMiB));
    REQUIRE(buffer->would_block(Access::Write, kMiB + 1));
    REQUIRE_FALSE(buffer->would_block(Access::Read, kMiB + 1));
    REQUIRE(buffer->write(kMiB, filled(1, 1)));
    REQUIRE_FALSE(buffer->would_block(Access::Write, kMiB + 2));
    REQUIRE(buffer->would_block(Access::Write, 100 * kMiB));
  }
}

TEST_CASE("bytes that can't be moved to their dma-buf are all still there") {
  Bench bench;
  const auto heap = bench.plain(false);
  const auto buffer = bench.buffer(heap);
  REQUIRE(buffer->write(0, filled(40 * kMiB, 6)));
  heap->first_page_fails = true;
  REQUIRE_FALSE(buffer->flush());
  CHECK(buffer->size() == 40 * kMiB);
  CHECK(all_equal(content(*buffer), 6));
  heap->first_page_fails = false;
  REQUIRE(buffer->flush());
  CHECK(all_equal(content(*buffer), 6));
}
