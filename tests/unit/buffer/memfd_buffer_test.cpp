// SPDX-License-Identifier: MIT
/// The memfd buffer, whose file clients may change past the daemon.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include "buffer_support.h"
#include "smaps.h"

using namespace buffer_test;

namespace {

uint64_t file_size(const Buffer& buffer) {
  return static_cast<uint64_t>(::lseek(buffer.passthrough_fd(), 0, SEEK_END));
}

/// What a client does by passthrough.
void client_writes(const Buffer& buffer, uint64_t offset, const Bytes& bytes) {
  REQUIRE(::pwrite(buffer.passthrough_fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset)) ==
          static_cast<ssize_t>(bytes.size()));
}

}  // namespace

TEST_CASE("what is loaded into a memfd gets huge pages where whole ones are filled, without a switch") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  const uint64_t length = 3 * kHugePage + 5000;
  const Bytes bytes = filled(length, 3);
  auto lease = buffer->lease({0, length}, Access::Write, length);
  REQUIRE(lease);
  const auto memory = (*lease)->bytes();
  REQUIRE((*lease)->populate(memory));
  CHECK(huge_bytes_at(memory.data()) == (memory_files_collapse() ? 3 * kHugePage : 0));
  std::ranges::copy(bytes, memory.begin());
  REQUIRE((*lease)->commit(length));
  lease->reset();
  CHECK(content(*buffer) == bytes);
  struct stat held {};
  REQUIRE(::fstat(buffer->passthrough_fd(), &held) == 0);
  CHECK(static_cast<uint64_t>(held.st_blocks) * 512 ==
        round_up(length, kPage));  // the tail did not grow by them
}

TEST_CASE("a memfd that is cut while it is filled holds nothing behind its end") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  REQUIRE(buffer->resize(4 * kHugePage));
  const auto lease = buffer->lease({0, 4 * kHugePage}, Access::Write, 0);
  REQUIRE(lease);
  REQUIRE(::ftruncate(buffer->passthrough_fd(), 0) == 0);
  CHECK((*lease)->populate((*lease)->bytes()).error().code == ENOMEM);
  struct stat held {};
  REQUIRE(::fstat(buffer->passthrough_fd(), &held) == 0);
  CHECK(held.st_blocks == 0);
}

TEST_CASE("a memfd buffer's file is as long as the buffer at every moment") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  REQUIRE(buffer->write(5000, filled(123, 1)));
  REQUIRE(file_size(*buffer) == 5123);
  REQUIRE(buffer->resize(77));
  REQUIRE(file_size(*buffer) == 77);
  REQUIRE(load(*buffer, 77, filled(100000, 2), 1000, 100077));
  REQUIRE(file_size(*buffer) == 1077);
  REQUIRE(buffer->allocate({0, 1 << 20}, true));
  REQUIRE(file_size(*buffer) == 1077);
  REQUIRE(buffer->info().capacity == kMiB);
  REQUIRE_FALSE(buffer->info().is_dmabuf);
}

TEST_CASE("what a client writes past the daemon counts at once") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  client_writes(*buffer, 0, filled(3000, 1));
  REQUIRE(buffer->size() == 3000);
  uint64_t at = 0;
  REQUIRE(buffer->append(filled(10, 2), at));
  REQUIRE(at == 3000);
  client_writes(*buffer, 3010, filled(10, 3));
  REQUIRE(buffer->size() == 3020);
  REQUIRE(buffer->flush());
  REQUIRE(bench.budget.used() == 4096);
}

TEST_CASE("an extending lease of a memfd does not count before its commit") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  REQUIRE(buffer->write(0, filled(10, 1)));
  auto lease = buffer->lease({10, 100000}, Access::Write, 0);
  REQUIRE(lease);
  REQUIRE(buffer->size() == 10);
  REQUIRE(buffer->would_block(Access::Read));
  std::ranges::fill((*lease)->bytes(), std::byte{5});
  lease->reset();
  REQUIRE(buffer->size() == 10);
  REQUIRE(file_size(*buffer) == 10);
  REQUIRE(buffer->resize(100));
  REQUIRE_FALSE(contains(content(*buffer), 5));
}

TEST_CASE("what a client appends during a lease of a memfd survives it") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  auto lease = buffer->lease({0, 10000}, Access::Write, 0);
  REQUIRE(lease);
  std::ranges::fill((*lease)->bytes(), std::byte{5});
  client_writes(*buffer, 20000, filled(10, 7));
  REQUIRE((*lease)->commit(4000));
  lease->reset();
  const Bytes all = content(*buffer);
  REQUIRE(all.size() == 20010);
  REQUIRE(all_equal(std::span(all).first(4000), 5));
  REQUIRE(all_equal(std::span(all).subspan(4000, 16000), 0));
  REQUIRE(all_equal(std::span(all).subspan(20000), 7));
}

TEST_CASE("zeroing a range of a memfd gives its memory back") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  REQUIRE(buffer->write(0, filled(kMiB, 1)));
  REQUIRE(buffer->zero({0, kMiB / 2}));
  REQUIRE(buffer->info().capacity == kMiB / 2);
  REQUIRE(buffer->size() == kMiB);
  const Bytes all = content(*buffer);
  REQUIRE(all_equal(std::span(all).first(kMiB / 2), 0));
  REQUIRE(all_equal(std::span(all).subspan(kMiB / 2), 1));
}

TEST_CASE("the holes of a memfd are found, and end where it ends") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  REQUIRE(buffer->resize(3 * kMiB));
  REQUIRE(buffer->seek(0, SEEK_HOLE).value() == 0);
  REQUIRE(buffer->seek(0, SEEK_DATA).error().code == ENXIO);
  REQUIRE(buffer->write(kMiB, filled(kMiB, 1)));
  REQUIRE(buffer->seek(0, SEEK_DATA).value() == kMiB);
  REQUIRE(buffer->seek(kMiB, SEEK_HOLE).value() == 2 * kMiB);
  REQUIRE(buffer->seek(2 * kMiB, SEEK_DATA).error().code == ENXIO);
  REQUIRE(buffer->seek(3 * kMiB, SEEK_HOLE).error().code == ENXIO);
  // What a lease adds is not there before its commit, and nobody waits for that.
  auto lease = buffer->lease({4 * kMiB, kMiB}, Access::Write, 5 * kMiB);
  REQUIRE(lease);
  REQUIRE(buffer->seek(2 * kMiB, SEEK_HOLE).value() == 2 * kMiB);
  REQUIRE(buffer->seek(3 * kMiB, SEEK_DATA).error().code == ENXIO);
}

TEST_CASE("two leases of a memfd that don't extend it may be held at once") {
  Bench bench;
  const auto buffer = memfd_buffer(bench);
  REQUIRE(buffer->write(0, filled(20000, 1)));
  const auto from = buffer->lease({0, 5000}, Access::Read, 0);
  const auto to = buffer->lease({10000, 5000}, Access::Write, 0);
  REQUIRE(from);
  REQUIRE(to);
  REQUIRE_FALSE(buffer->would_block(Access::Write));
}

TEST_CASE("a memfd that is cut while a lease waits to extend it holds no more than the budget counts") {
  Bench bench(64 * kMiB, 0);
  for (int round = 0; round < 30; ++round) {
    const auto buffer = memfd_buffer(bench);
    REQUIRE(buffer->resize(kMiB));
    auto reading = buffer->lease({0, kMiB}, Access::Read, 0);
    REQUIRE(reading);
    bool filled_up = false;
    std::thread filler([&] {
      auto lease = buffer->lease({0, 48 * kMiB}, Access::Write, 48 * kMiB);
      if (!lease || !(*lease)->populate((*lease)->bytes())) return;
      filled_up = (*lease)->commit(48 * kMiB).has_value();
    });
    std::thread cutter([&] { (void)buffer->resize(4096); });
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // both wait, as a rule
    reading->reset();
    filler.join();
    cutter.join();
    REQUIRE(filled_up);
    REQUIRE(buffer->info().capacity <= bench.budget.used());
  }
}
