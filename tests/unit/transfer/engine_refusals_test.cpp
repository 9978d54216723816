// SPDX-License-Identifier: MIT
/// What copies between files and buffers can't or may not do: full disks, require-direct, file systems that
/// refuse.
#include <sys/mman.h>

#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE(
    "engine: on a full disk the bytes stored are counted, the file holds just them, and the error is "
    "ENOSPC") {
  const LoopDisk disk(24);
  if (!disk.mounted()) {
    WARN("needs root and a loop device");
    return;
  }
  Buffers buffers;
  Engine engine({});
  const Bytes bytes = pattern(64 * kMiB, 13);
  const auto buffer = buffers.make(bytes);
  for (const uint64_t from : {0, 1}) {  // 1: not aligned as the file is, so by bounce memory
    const TestFile file(disk.path(), "file");
    Copy copy = save_of(buffer, file);
    copy.from_offset = from;
    const Outcome outcome = engine.copy(copy);
    REQUIRE(outcome.error);
    CHECK(outcome.error->code == ENOSPC);
    CHECK(outcome.bytes > 10 * kMiB);
    CHECK(outcome.bytes < 24 * kMiB);
    CHECK(by(outcome, from == 0 ? Path::PinnedDirect : Path::BounceDirect) == outcome.bytes);
    REQUIRE(file.size() == outcome.bytes);
    CHECK(file.content() == part_of(bytes, from, outcome.bytes));
    CHECK(engine.counters().snapshot().refused.back().message == file.path() + ": No space left on device");
    REQUIRE(::ftruncate(file.fd(), 0) == 0);
  }
}

TEST_CASE("engine: require-direct fails a copy from tmpfs with the reason, and lets less than a block pass") {
  Buffers buffers;
  Engine engine({});
  const UniqueFd source(::memfd_create("source", MFD_CLOEXEC));
  const Bytes bytes = pattern(kMiB, 14);
  REQUIRE(::pwrite(source.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(kMiB));
  const auto buffer = buffers.make();
  Copy copy;
  copy.from = std::make_shared<FileEnd>(source.get(), UniqueFd(), "frame", true);
  copy.to = buffer;
  copy.length = kMiB;
  copy.require_direct = true;
  const Outcome refused = engine.copy(copy);
  REQUIRE(refused.error);
  CHECK(refused.error->code == EIO);
  CHECK(refused.bytes == 0);
  CHECK(refused.error->message ==
        "frame: a direct transfer is required, but tmpfs does not support direct I/O: its files are memory");
  CHECK(engine.counters().snapshot().refused.back().message == refused.error->message);
  CHECK(buffer->size() == 0);

  copy.length = 4000;
  CHECK(!engine.copy(copy).error);
  copy.length = kMiB;
  copy.require_direct = false;
  const Outcome outcome = engine.copy(copy);
  REQUIRE(!outcome.error);
  CHECK(by(outcome, Path::Buffered) == kMiB);
  CHECK(content(*buffer) == bytes);
}

TEST_CASE("engine: require-direct fails a copy whose offsets can't be aligned, in both directions") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const TestFile file(disk.path(), "file", pattern(kMiB, 15));
  const auto buffer = buffers.make(pattern(kMiB, 16));
  Copy in = load_of(file, buffer), out = save_of(buffer, file);
  in.to_offset = out.from_offset = 1;
  for (Copy copy : {in, out}) {
    copy.require_direct = true;
    const Outcome outcome = engine.copy(copy);
    REQUIRE(outcome.error);
    CHECK(outcome.error->code == EIO);
    CHECK(outcome.bytes == 0);
  }
  CHECK(content(*buffer) == pattern(kMiB, 16));
  CHECK(file.content() == pattern(kMiB, 15));
}

TEST_CASE("engine: a file system that lies about direct reads is read through the page cache") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const Bytes bytes = pattern(2 * kMiB, 17);
  const TestFile file(disk.path(), "file", bytes), other(disk.path(), "other", pattern(2 * kMiB, 18));
  file.make_cold();
  other.make_cold();
  const auto buffer = buffers.make();
  Copy copy = load_of(file, buffer);
  copy.from = std::make_shared<FileEnd>(
      file.fd(), UniqueFd(::open(other.path().c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC)), "file", false);
  const Outcome outcome = engine.copy(copy);
  REQUIRE(!outcome.error);
  CHECK(by(outcome, Path::Buffered) == bytes.size());
  CHECK(content(*buffer) == bytes);

  // It is remembered of the file system, not of the file only.
  copy.from = other.end();
  const Outcome next = engine.copy(copy);
  REQUIRE(!next.error);
  CHECK(by(next, Path::Buffered) == bytes.size());
  copy.require_direct = true;
  REQUIRE(engine.copy(copy).error);
  CHECK(engine.copy(copy).error->code == EIO);
}

TEST_CASE("engine: a file whose direct reads fail with EINVAL is read through the page cache") {
  UniqueFd failing(::open("/proc/self/clear_refs", O_RDWR | O_CLOEXEC));  // has no read operation: EINVAL
  if (!failing) {
    WARN("needs root");
    return;
  }
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const Bytes bytes = pattern(9 * kMiB, 19);
  const TestFile file(disk.path(), "file", bytes);
  file.make_cold();
  const auto buffer = buffers.make();
  Copy copy = load_of(file, buffer);
  const auto end = std::make_shared<FileEnd>(file.fd(), std::move(failing), "file", false);
  copy.from = end;
  SECTION("with the reason") {
    const Outcome outcome = engine.copy(copy);
    REQUIRE(!outcome.error);
    CHECK(by(outcome, Path::Buffered) == bytes.size());
    CHECK(end->not_direct_reason() == "direct I/O on the file failed: Invalid argument");
    CHECK(content(*buffer) == bytes);
  }
  SECTION("but not under require-direct") {
    copy.require_direct = true;
    const Outcome outcome = engine.copy(copy);
    REQUIRE(outcome.error);
    CHECK(outcome.error->code == EIO);
    CHECK(outcome.bytes == 0);
  }
}

TEST_CASE("engine: overlapping ranges of one object, and an append-only destination, are refused with EIO") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const auto buffer = buffers.make(pattern(kMiB, 21));
  Copy copy;
  copy.from = copy.to = buffer;
  copy.length = 1000;
  copy.to_offset = 999;
  REQUIRE(engine.copy(copy).error);
  CHECK(engine.copy(copy).error->code == EIO);

  const TestFile file(disk.path(), "file");
  const UniqueFd appending(::open(file.path().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  copy.to = std::make_shared<FileEnd>(appending.get(), UniqueFd(), "file", true);
  REQUIRE(engine.copy(copy).error);
  CHECK(engine.copy(copy).error->code == EIO);
  CHECK(file.size() == 0);
}
