// SPDX-License-Identifier: MIT
/// What is learnt of file systems: whether the page cache is faster, whether direct reads are to be trusted.
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "dmabuffs/transfer/bounce_pool.h"
#include "dmabuffs/transfer/crew.h"
#include "dmabuffs/transfer/file_systems.h"
#include "dmabuffs/transfer/page_cache.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE(
    "cache choice: only a file that is cached, and where the cache is clearly faster, is read from there") {
  CHECK(cache_pays(1.0, 4.0));
  CHECK(!cache_pays(1.0, 1.1));
  CHECK(!cache_pays(4.0, 1.0));
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(8 * kMiB, 6));
  file.make_cold();
  const auto end = file.end();
  Workshop shop{Crew(1), BouncePool(4 * kMiB), {}};
  CacheChoice choice;
  CHECK(!choice.cache_is_faster(shop, *end, {0, 8 * kMiB}, nullptr));
  CHECK(cached_bytes(file.fd(), {0, 8 * kMiB}) == 0u);
  REQUIRE(file.content().size() == 8 * kMiB);
  const bool faster = choice.cache_is_faster(shop, *end, {0, 8 * kMiB}, nullptr);
  CHECK(choice.cache_is_faster(shop, *end, {kMiB, 4096}, nullptr) == faster);  // remembered
  file.make_cold();
  CHECK(!choice.cache_is_faster(shop, *end, {0, 8 * kMiB}, nullptr));
}

TEST_CASE("trust: a file system whose direct reads bring other bytes is found out once and remembered") {
  const DiskDirectory disk;
  const TestFile honest(disk.path(), "honest", pattern(8192, 4)),
      other(disk.path(), "other", pattern(8192, 5));
  honest.make_cold();
  other.make_cold();
  const FileEnd good(honest.fd(), UniqueFd(), "good", true);
  // A direct descriptor of another file is what a file system that fills in the wrong bytes looks like.
  const FileEnd bad(honest.fd(), UniqueFd(::open(other.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "bad",
                    true);
  REQUIRE(good.direct_fd() >= 0);
  REQUIRE(bad.direct_fd() >= 0);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  const auto block = loan->unit(0).first(4096);

  DirectTrust trust;
  CHECK(!trust.verdict(good));
  CHECK(trust.check(good, 4096, block).empty());
  CHECK(trust.verdict(good) == "");
  DirectTrust doubtful;
  CHECK(!doubtful.check(bad, 4096, block).empty());
  CHECK(!doubtful.check(good, 4096, block).empty());
  CHECK(doubtful.verdict(good) != "");
}

TEST_CASE("trust: a direct read that leaves zeros in place of zeros is not taken for a proof") {
  const DiskDirectory disk;
  const TestFile zeros(disk.path(), "zeros", Bytes(8192)), empty(disk.path(), "empty");
  const FileEnd silent(zeros.fd(), UniqueFd(::open(empty.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "f",
                       true);
  const FileEnd good(zeros.fd(), UniqueFd(), "good", true);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  const auto block = loan->unit(0).first(4096);
  CHECK(!DirectTrust().check(silent, 0, block).empty());
  CHECK(DirectTrust().check(good, 0, block).empty());
}

TEST_CASE("trust: a file system is asked again after a while, whatever it was taken for") {
  const DiskDirectory disk;
  const TestFile honest(disk.path(), "honest", pattern(8192, 4)),
      other(disk.path(), "other", pattern(8192, 5));
  const FileEnd good(honest.fd(), UniqueFd(), "good", true);
  const FileEnd bad(honest.fd(), UniqueFd(::open(other.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "bad",
                    true);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  const auto block = loan->unit(0).first(4096);
  DirectTrust trust(std::chrono::milliseconds(0));
  CHECK(!trust.check(bad, 0, block).empty());
  CHECK(!trust.verdict(bad));
  CHECK(trust.check(good, 0, block).empty());
  CHECK(!trust.check(bad, 0, block).empty());
}

TEST_CASE("trust: a difference in a file that changes meanwhile is not held against its file system") {
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(4096, 4)), other(disk.path(), "other", pattern(4096, 5));
  const FileEnd end(file.fd(), UniqueFd(::open(other.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "file",
                    true);
  REQUIRE(end.direct_fd() >= 0);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (long round = 0; !over; ++round) {
      const timespec times[2] = {{round, 0}, {round, 0}};
      (void)::futimens(file.fd(), times);
    }
  });
  constexpr int kRounds = 10;
  int marked = 0;
  for (int round = 0; round < kRounds; ++round) {
    DirectTrust trust;
    (void)trust.check(end, 0, loan->unit(0).first(4096));
    marked += trust.verdict(end).has_value();
  }
  over = true;
  writer.join();
  CHECK(marked < kRounds);  // the writer may have been out of the processor for a whole round
}

TEST_CASE("trust: a direct read that brings nothing is not believed while its file is being rewritten") {
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(4096, 4)), empty(disk.path(), "empty");
  const FileEnd silent(file.fd(), UniqueFd(::open(empty.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "f",
                       true);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  std::atomic<bool> over{false};
  std::thread writer([&] {
    Bytes bytes(4096);
    for (uint64_t round = 0; !over; ++round) {
      std::memcpy(bytes.data(), &round, sizeof round);
      (void)::pwrite(file.fd(), bytes.data(), bytes.size(), 0);
    }
  });
  for (int round = 0; round < 10; ++round)
    CHECK(!DirectTrust().check(silent, 0, loan->unit(0).first(4096)).empty());
  over = true;
  writer.join();
}

TEST_CASE("what is known of file systems is of a bounded number, the latest, and for a while") {
  ByDevice<int> known(std::chrono::hours(1));
  for (uint64_t device = 0; device < 1000; ++device) known.learn(device, 1);
  for (int again = 0; again < 1000; ++again) known.learn(999, again);
  CHECK(!known.find(1000 - ByDevice<int>::kMost - 1));
  CHECK(known.find(1000 - ByDevice<int>::kMost) == 1);
  CHECK(known.find(999) == 999);
  ByDevice<int> forgetful(std::chrono::milliseconds(0));
  forgetful.learn(1, 1);
  CHECK(!forgetful.find(1));
}
