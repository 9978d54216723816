// SPDX-License-Identifier: MIT
#include <atomic>
#include <numeric>
#include <thread>

#include "dmabuffs/transfer/crew.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("chunks: what counts is the prefix before the lowest failure") {
  Chunks chunks(10 * kMiB, 0, kMiB, nullptr);
  for (int taken = 0; taken < 5; ++taken) REQUIRE(chunks.take());
  chunks.stop(3 * kMiB, Error{EIO, "later"});
  chunks.stop(1 * kMiB + 17, Error{ENOSPC, "earlier"});
  chunks.stop(2 * kMiB, Error{EIO, "later"});
  CHECK(!chunks.take());
  const Moved moved = chunks.moved();
  CHECK(moved.bytes == 1 * kMiB + 17);
  REQUIRE(moved.error);
  CHECK(moved.error->code == ENOSPC);
}

TEST_CASE("chunks: they are cut at multiples of their size from the phase on") {
  Chunks chunks(3 * kMiB, kMiB - 100, kMiB, nullptr);
  CHECK(chunks.take()->length == 100);
  CHECK(chunks.take()->offset == 100);
  CHECK(chunks.take()->length == kMiB);
  CHECK(chunks.take()->length == kMiB - 100);
  CHECK(!chunks.take());
}

TEST_CASE("chunks: after a cancel no more are handed out and what was taken counts") {
  CancelToken cancel;
  Chunks chunks(10 * kMiB, 0, kMiB, &cancel);
  REQUIRE(chunks.take());
  cancel.cancel();
  CHECK(!chunks.take());
  CHECK(chunks.moved().bytes == kMiB);
  REQUIRE(chunks.moved().error);
  CHECK(chunks.moved().error->code == EINTR);
}

TEST_CASE("crew: the caller always works and helpers have left when run returns") {
  Crew crew(3);
  std::atomic<int> inside{0}, leaders{0};
  for (int round = 0; round < 100; ++round) {
    crew.run(4, [&](bool leader) {
      ++inside;
      if (leader) ++leaders;
      --inside;
    });
    REQUIRE(inside == 0);
  }
  CHECK(leaders == 100);
}

TEST_CASE("crew: what one of those who work throws is thrown to the caller, once all have left") {
  Crew crew(3);
  for (const bool leader_throws : {true, false}) {
    std::atomic<int> inside{0};
    std::atomic<bool> helped{false};
    const auto work = [&](bool leader) {
      if (!leader) ++inside, helped = true;
      while (leader && !helped) std::this_thread::yield();
      if (leader == leader_throws) {
        if (!leader) --inside;
        throw std::bad_alloc();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (!leader) --inside;
    };
    CHECK_THROWS_AS(crew.run(4, work), std::bad_alloc);
    CHECK(inside == 0);
  }
  std::atomic<int> done{0};
  crew.run(4, [&](bool leader) { done += leader ? 1 : 0; });
  CHECK(done == 1);
}

TEST_CASE("crew: several callers at once all get on") {
  Crew crew(1);
  std::atomic<int> done{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) crew.run(2, [&](bool leader) { done += leader ? 1 : 0; });
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(done == 300);
}
