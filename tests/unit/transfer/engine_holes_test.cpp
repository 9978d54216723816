// SPDX-License-Identifier: MIT
/// Copies out of buffers with holes: they read as zeros, and stay holes.
#include "transfer_support.h"

using namespace transfer_test;

namespace {

/// Mostly hole, with bytes in the middle and at the odd end.
std::shared_ptr<Buffer> sparse(Buffers& buffers, uint64_t size) {
  auto buffer = buffers.make();
  REQUIRE(buffer->resize(size));
  const Bytes bytes = pattern(9000, 40);
  for (const uint64_t at : {size / 2, size - bytes.size()}) REQUIRE(buffer->write(at, bytes) == bytes.size());
  return buffer;
}

}  // namespace

TEST_CASE("engine: a copy out of a buffer with holes, by whatever path, fills none of them") {
  const DiskDirectory disk;
  const TemporaryDirectory memory("/dev/shm");
  Buffers buffers;
  Engine engine({});
  constexpr uint64_t kSize = 24 * kMiB + 12345;
  const auto source = sparse(buffers, kSize);
  const Bytes bytes = content(*source);
  const uint64_t held = source->info().capacity;
  REQUIRE(held < 64 * kKiB);
  const auto right = [&](const Outcome& outcome, Path path, const Bytes& got, uint64_t from) {
    REQUIRE(!outcome.error);
    CHECK(outcome.bytes == kSize - from);
    CHECK(by(outcome, path) > 23 * kMiB);
    CHECK((got == part_of(bytes, from, kSize - from)));
    CHECK(source->info().capacity == held);
  };
  SECTION("to a disk, direct and with an unaligned end") {
    const TestFile file(disk.path(), "file");
    const Outcome outcome = engine.copy(save_of(source, file));
    right(outcome, Path::PinnedDirect, file.content(), 0);
  }
  SECTION("to a disk, from an offset that has to be bounced") {
    const TestFile file(disk.path(), "file");
    Copy copy = save_of(source, file);
    copy.from_offset = 77;
    const Outcome outcome = engine.copy(copy);
    right(outcome, Path::BounceDirect, file.content(), 77);
  }
  SECTION("to a file that does no direct I/O") {
    const TestFile file(memory.path(), "file");
    const Outcome outcome = engine.copy(save_of(source, file));
    right(outcome, Path::Buffered, file.content(), 0);
  }
  SECTION("to a buffer") {
    const auto target = buffers.make(Bytes(kSize, std::byte{5}));
    Copy copy;
    copy.from = source;
    copy.to = target;
    copy.length = kSize;
    const Outcome outcome = engine.copy(copy);
    right(outcome, Path::MemoryCopy, content(*target), 0);
  }
}

TEST_CASE("engine: a buffer with more holes than a process may have mappings is copied all the same") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  constexpr uint64_t kHoles = 3000;
  const auto source = buffers.make();
  REQUIRE(source->resize(kHoles * 2 * kPage));
  const Bytes page = pattern(kPage, 41);
  for (uint64_t hole = 0; hole < kHoles; ++hole)
    REQUIRE(source->write((2 * hole + 1) * kPage, page) == kPage);
  const uint64_t held = source->info().capacity;
  REQUIRE(held == kHoles * kPage);
  const TestFile file(disk.path(), "file");
  const Outcome outcome = engine.copy(save_of(source, file));
  REQUIRE(!outcome.error);
  CHECK(outcome.bytes == kHoles * 2 * kPage);
  CHECK(by(outcome, Path::PinnedDirect) == outcome.bytes);
  CHECK((file.content() == content(*source)));
  const auto target = buffers.make();
  Copy copy;
  copy.from = source;
  copy.to = target;
  copy.length = kHoles * 2 * kPage;
  CHECK(engine.copy(copy).bytes == copy.length);
  CHECK((content(*target) == content(*source)));
  CHECK(source->info().capacity == held);
  // A lease is of some at least, and its holes can be read like the rest.
  const auto lease = source->lease({5 * kPage, 4000 * kPage}, Access::Read, 0);
  REQUIRE(lease);
  CHECK(!(*lease)->bytes().empty());
  CHECK(std::ranges::equal((*lease)->bytes().first(kPage), page));
  CHECK((*lease)->bytes()[kPage] == std::byte{0});
}
