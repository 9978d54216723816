// SPDX-License-Identifier: MIT
/// Copies between real files on a disk and real buffers.
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "dmabuffs/transfer/page_cache.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("engine: a cold file goes into a memfd buffer pinned-direct, its unaligned tail beside it") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const Bytes bytes = pattern(9 * kMiB + 1000, 1);
  const TestFile file(disk.path(), "file", bytes);
  file.make_cold();
  const auto buffer = buffers.make();
  const Outcome outcome = engine.copy(load_of(file, buffer));
  REQUIRE(!outcome.error);
  CHECK(outcome.bytes == bytes.size());
  CHECK(by(outcome, Path::PinnedDirect) == 9 * kMiB);
  CHECK(by(outcome, Path::BounceDirect) == 1000);
  REQUIRE(outcome.reasons.size() == 1);
  CHECK(outcome.reasons[0].why == "unaligned head or tail");
  CHECK(content(*buffer) == bytes);
  const auto counted = engine.counters().snapshot();
  CHECK(counted.paths[static_cast<size_t>(Path::PinnedDirect)].operations == 1);
  CHECK(counted.paths[static_cast<size_t>(Path::PinnedDirect)].bytes == 9 * kMiB);
}

TEST_CASE("engine: after a direct load the source has no pages in the page cache") {
  const DiskDirectory disk;
  Buffers buffers;
  const Bytes bytes = pattern(5 * kMiB + 1, 2);
  const TestFile file(disk.path(), "file", bytes);
  for (const auto& [from, bounced] :
       {std::pair<uint64_t, bool>{0, false}, {0, true}, {777, false}, {777, true}}) {
    Engine engine({});  // a new one verifies its first read
    file.make_cold();
    REQUIRE(cached_bytes(file.fd(), {0, bytes.size()}) == 0u);
    const auto buffer = buffers.make();
    Copy copy = load_of(file, buffer);
    copy.from_offset = from;
    copy.to_offset = bounced ? from + 1 : from;
    const Outcome outcome = engine.copy(copy);
    REQUIRE(!outcome.error);
    CHECK(by(outcome, bounced ? Path::BounceDirect : Path::PinnedDirect) >= 4 * kMiB);
    CHECK(by(outcome, Path::Buffered) == 0);
    CHECK(cached_bytes(file.fd(), {0, bytes.size()}) == 0u);
  }
}

TEST_CASE("engine: a cached file is read from the cache where that is faster, never under require-direct") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const Bytes bytes = pattern(8 * kMiB, 3);
  const TestFile file(disk.path(), "file", bytes);
  REQUIRE(file.content() == bytes);
  const auto buffer = buffers.make();
  Copy copy = load_of(file, buffer);
  SECTION("as it is") {
    const Outcome outcome = engine.copy(copy);
    REQUIRE(!outcome.error);
    // Which is faster is measured, and depends on the machine.
    if (by(outcome, Path::PinnedDirect) == bytes.size()) {
      CHECK(outcome.reasons.empty());
    } else {
      CHECK(by(outcome, Path::Buffered) == bytes.size());
      REQUIRE(outcome.reasons.size() == 1);
      CHECK(outcome.reasons[0].why == "the source is in the page cache");
    }
  }
  SECTION("required direct, which sees what is still to be written to the disk") {
    copy.require_direct = true;
    const Outcome outcome = engine.copy(copy);
    REQUIRE(!outcome.error);
    CHECK(by(outcome, Path::PinnedDirect) == bytes.size());
  }
  CHECK(content(*buffer) == bytes);
}

TEST_CASE("engine: a buffer is saved pinned-direct and the file is never longer than the data") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  for (const uint64_t length : {uint64_t{1}, uint64_t{4096}, 33 * kMiB + 4097}) {
    const Bytes bytes = pattern(length, 4);
    const auto buffer = buffers.make(bytes);
    const TestFile file(disk.path(), "copy");
    const Outcome outcome = engine.copy(save_of(buffer, file));
    REQUIRE(!outcome.error);
    CHECK(outcome.bytes == length);
    CHECK(by(outcome, Path::PinnedDirect) == length / 4096 * 4096);
    CHECK(by(outcome, Path::Buffered) == length % 4096);
    CHECK(file.size() == length);
    CHECK(file.content() == bytes);
  }
}

TEST_CASE("engine: a buffer is saved over a file that is longer, and the rest of the file stays") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  Bytes expected = pattern(20 * kMiB, 5);
  const TestFile file(disk.path(), "file", expected);
  const Bytes bytes = pattern(9 * kMiB + 5, 6);
  const auto buffer = buffers.make(bytes);
  Copy copy = save_of(buffer, file);
  for (const uint64_t at : {uint64_t{4096}, uint64_t{777}}) {
    copy.to_offset = at;
    const Outcome outcome = engine.copy(copy);
    REQUIRE(!outcome.error);
    CHECK(by(outcome, at == 777 ? Path::BounceDirect : Path::PinnedDirect) > 8 * kMiB);
    std::copy(bytes.begin(), bytes.end(), expected.begin() + static_cast<ptrdiff_t>(at));
    CHECK(file.content() == expected);
  }
}

TEST_CASE("engine: random copies between files and buffers leave what a plain copy would leave") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  std::mt19937 random(20260101);
  const TestFile files[] = {{disk.path(), "a", pattern(3 * kMiB + 11, 7)},
                            {disk.path(), "b", pattern(100, 8)}};
  const std::shared_ptr<Buffer> memory[] = {buffers.make(pattern(2 * kMiB + 5, 9)),
                                            buffers.make(pattern(5000, 10))};
  Bytes models[] = {files[0].content(), files[1].content(), content(*memory[0]), content(*memory[1])};
  const auto end_of = [&](size_t index) -> End {
    if (index < 2) return files[index].end();
    return memory[index - 2];
  };
  const auto content_of = [&](size_t index) {
    return index < 2 ? files[index].content() : content(*memory[index - 2]);
  };
  // Near the places where paths change: blocks, huge pages, the start.
  const auto place = [&] {
    const uint64_t units[] = {0, 512, 4096, 65536, kMiB, 2 * kMiB};
    const uint64_t base = units[random() % 6] * (random() % 2 + 1);
    return random() % 3 == 0 ? base : base + random() % 5000;
  };
  PathBytes seen{};
  for (int round = 0; round < 400; ++round) {
    const size_t from = random() % 4, to = random() % 4;
    if (random() % 4 == 0 && from < 2) files[from].make_cold();
    Copy copy;
    copy.from = end_of(from);
    copy.to = end_of(to);
    copy.from_offset = place();
    copy.to_offset = random() % 3 == 0 ? copy.from_offset : place();
    copy.length = place();
    if (from == to) {
      copy.to_offset =
          copy.from_offset + copy.length + random() % 100;  // an overlap is an error, tested elsewhere
    }
    const uint64_t there =
        models[from].size() > copy.from_offset ? models[from].size() - copy.from_offset : 0;
    const uint64_t length = std::min(copy.length, there);
    const Outcome outcome = engine.copy(copy);
    CAPTURE(round, from, to, copy.from_offset, copy.to_offset, copy.length);
    if (outcome.error) FAIL(outcome.error->message);
    REQUIRE(outcome.bytes == length);
    uint64_t counted = 0;
    for (size_t path = 0; path < kPathCount; ++path) {
      counted += outcome.paths[path];
      seen[path] += outcome.paths[path];
    }
    REQUIRE(counted == length);
    if (length > 0) {
      const Bytes moved = part_of(models[from], copy.from_offset, length);
      if (models[to].size() < copy.to_offset + length) models[to].resize(copy.to_offset + length);
      std::copy(moved.begin(), moved.end(), models[to].begin() + static_cast<ptrdiff_t>(copy.to_offset));
    }
    const Bytes now = content_of(to);
    REQUIRE(now.size() == models[to].size());
    REQUIRE(now == models[to]);
    if (models[to].size() > 8 * kMiB) {
      models[to].resize(kMiB + 1);
      if (to < 2) REQUIRE(::ftruncate(files[to].fd(), kMiB + 1) == 0);
      if (to >= 2) REQUIRE(memory[to - 2]->resize(kMiB + 1));
    }
  }
  for (const Path path :
       {Path::PinnedDirect, Path::BounceDirect, Path::Buffered, Path::MemoryCopy, Path::FileCopy}) {
    INFO(to_string(path));
    CHECK(seen[static_cast<size_t>(path)] > 0);
  }
}

TEST_CASE("engine: past the end of the source there is nothing to copy, and no error") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const TestFile file(disk.path(), "file", pattern(5000, 11));
  const auto buffer = buffers.make();
  Copy copy = load_of(file, buffer);
  copy.length = 100 * kMiB;
  CHECK(engine.copy(copy).bytes == 5000);
  copy.from_offset = 5000;
  const Outcome outcome = engine.copy(copy);
  CHECK(outcome.bytes == 0);
  CHECK(!outcome.error);
}

TEST_CASE("engine: a source truncated during the copy ends it at the data without an error") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const uint64_t length = 64 * kMiB;
  const Bytes bytes = pattern(length, 12);
  for (const int delay : {0, 3, 10, 20}) {
    for (const uint64_t left : {uint64_t{12345}, 32 * kMiB}) {
      const TestFile file(disk.path(), "file", bytes);
      file.make_cold();
      const auto buffer = buffers.make();
      Copy copy = load_of(file, buffer);
      bool truncated = false;
      std::thread truncation([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(delay));
        truncated = ::ftruncate(file.fd(), static_cast<off_t>(left)) == 0;
      });
      const Outcome outcome = engine.copy(copy);
      truncation.join();
      REQUIRE(truncated);
      CHECK(!outcome.error);
      REQUIRE(outcome.bytes >= left);
      CHECK(buffer->size() == outcome.bytes);
      Bytes got = content(*buffer);
      CHECK(part_of(got, 0, left) == part_of(bytes, 0, left));
    }
  }
}

TEST_CASE("engine: a cancel ends a copy promptly with what is done") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine engine({});
  const TestFile file(disk.path(), "file");
  REQUIRE(::ftruncate(file.fd(), kMiB << 10) == 0);
  const auto buffer = buffers.make();
  Copy copy = load_of(file, buffer);
  copy.require_direct = true;
  CancelToken cancel;
  copy.cancel = &cancel;
  SECTION("before it began: EINTR and nothing") {
    cancel.cancel();
    const Outcome outcome = engine.copy(copy);
    CHECK(outcome.bytes == 0);
    REQUIRE(outcome.error);
    CHECK(outcome.error->code == EINTR);
    CHECK(buffer->size() == 0);
  }
  SECTION("in the middle") {
    std::chrono::steady_clock::time_point asked;
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
      asked = std::chrono::steady_clock::now();
      cancel.cancel();
    });
    const Outcome outcome = engine.copy(copy);
    const auto ended = std::chrono::steady_clock::now();
    canceller.join();
    CHECK(ended - asked < std::chrono::milliseconds(500));
    CHECK(outcome.bytes < copy.length);
    REQUIRE(outcome.error);
    CHECK(outcome.error->code == EINTR);
    CHECK(buffer->size() == outcome.bytes);
    CHECK(engine.counters().snapshot().refused.empty());
  }
}

TEST_CASE("engine: copies between two buffers both ways at once don't wait for each other for ever") {
  Buffers buffers;
  Engine engine({});
  const auto a = buffers.make(pattern(4 * kMiB, 20)), b = buffers.make(pattern(4 * kMiB, 20));
  std::atomic<uint64_t> moved{0};
  std::vector<std::thread> copiers;
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a), std::pair(a, b), std::pair(b, a)}) {
    copiers.emplace_back([&engine, &moved, from = from, to = to] {
      Copy copy;
      copy.from = from;
      copy.to = to;
      copy.length = 4 * kMiB;
      for (int round = 0; round < 50; ++round) moved += engine.copy(copy).bytes;
    });
  }
  for (auto& copier : copiers) copier.join();
  CHECK(moved == 4 * 50 * 4 * kMiB);
  CHECK(content(*a) == content(*b));
}

TEST_CASE("engine: many transfers share a bounce pool of one unit and all end") {
  const DiskDirectory disk;
  Buffers buffers;
  Engine::Options options;
  options.bounce_bytes = kMiB;
  Engine engine(options);
  const Bytes bytes = pattern(6 * kMiB + 77, 22);
  const TestFile file(disk.path(), "file", bytes);
  file.make_cold();
  std::vector<std::thread> transfers;
  std::vector<std::shared_ptr<Buffer>> loaded;
  for (int transfer = 0; transfer < 6; ++transfer) loaded.push_back(buffers.make());
  for (const auto& buffer : loaded) {
    Copy copy = load_of(file, buffer);  // not on the thread: it requires something, which Catch2 can't there
    copy.to_offset = 3;
    transfers.emplace_back([&engine, copy] { engine.copy(copy); });
  }
  for (auto& transfer : transfers) transfer.join();
  for (const auto& buffer : loaded) {
    Bytes got = content(*buffer);
    REQUIRE(got.size() == bytes.size() + 3);
    CHECK(part_of(got, 3, bytes.size()) == bytes);
  }
}
