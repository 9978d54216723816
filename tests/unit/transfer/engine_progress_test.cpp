// SPDX-License-Identifier: MIT
/// Copies that are interrupted at once, each time, as those of a program with an interval timer are.
#include <thread>

#include "buffer_support.h"
#include "dmabuffs/transfer/bounce_pool.h"
#include "transfer_support.h"

namespace {

using namespace transfer_test;

/// Copies as such a program does. How many calls that took.
unsigned copy_interrupted(Engine& engine, Copy copy) {
  const uint64_t end = copy.length;
  unsigned calls = 0;
  for (uint64_t done = 0; done < end; ++calls) {
    CancelToken interrupted(CancelToken::Ends::WithProgress);
    interrupted.cancel();
    copy.cancel = &interrupted;
    const Outcome outcome = engine.copy(copy);
    if (outcome.bytes == 0) FAIL("a call that was interrupted stored nothing, after " << done << " bytes");
    CHECK((!outcome.error || outcome.error->code == EINTR));
    copy.from_offset += outcome.bytes;
    copy.to_offset += outcome.bytes;
    copy.length -= outcome.bytes;
    done += outcome.bytes;
  }
  return calls;
}

}  // namespace

TEST_CASE("engine: a copy that is interrupted in each of its calls gets on, in all directions") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const Bytes bytes = pattern(40 * kMiB + 77, 50);
  const TestFile file(disk.path(), "file", bytes);
  file.make_cold();
  const auto loaded = buffers.make(), odd = buffers.make(), twin = buffers.make();
  CHECK(copy_interrupted(engine, load_of(file, loaded)) > 1);
  CHECK((content(*loaded) == bytes));
  Copy bounced = load_of(file, odd);
  bounced.to_offset = 1;
  bounced.expected_end = bytes.size() + 1;
  CHECK(copy_interrupted(engine, bounced) > 1);
  CHECK((part_of(content(*odd), 1, bytes.size()) == bytes));
  Copy copy;
  copy.from = loaded;
  copy.to = twin;
  copy.length = bytes.size();
  CHECK(copy_interrupted(engine, copy) > 1);
  CHECK((content(*twin) == bytes));
  const TestFile saved(disk.path(), "saved");
  CHECK(copy_interrupted(engine, save_of(loaded, saved)) > 1);
  CHECK((saved.content() == bytes));
  copy.to = loaded;
  copy.to_offset = copy.length;
  CHECK(copy_interrupted(engine, copy) > 1);
  CHECK((part_of(content(*loaded), bytes.size(), bytes.size()) == bytes));
  const TestFile other(disk.path(), "other");
  Copy files;
  files.from = file.end();
  files.to = other.end();
  files.length = bytes.size();
  CHECK(copy_interrupted(engine, files) > 1);
  CHECK((other.content() == bytes));
}

TEST_CASE("engine: the memory of a copy that was interrupted is there for its next call") {
  const DiskDirectory disk;
  buffer_test::Bench bench;
  const auto heap = bench.plain(false);
  const auto buffer = bench.buffer(heap);
  Engine engine({});
  const Bytes bytes = pattern(20 * kMiB, 51);
  const TestFile file(disk.path(), "file", bytes);
  file.make_cold();
  CHECK(copy_interrupted(engine, load_of(file, buffer)) > 1);
  CHECK((content(*buffer) == bytes));
  CHECK(heap->created == 1);
}

TEST_CASE("bounce pool: who has to make progress waits a moment for his turn, though interrupted") {
  BouncePool pool(BouncePool::kUnit);
  auto held = std::make_unique<BouncePool::Loan>(std::move(*pool.borrow(1, nullptr)));
  CancelToken interrupted(CancelToken::Ends::WithProgress);
  interrupted.cancel();
  SECTION("and gets it") {
    std::thread returns([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
      held.reset();
    });
    CHECK(pool.borrow(1, &interrupted));
    returns.join();
  }
  SECTION("but not for ever") {
    const auto loan = pool.borrow(1, &interrupted);
    REQUIRE(!loan);
    CHECK(loan.error().code == EINTR);
  }
}
