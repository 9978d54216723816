// SPDX-License-Identifier: MIT
/// Waiting for memory that other threads are freeing.
#include <thread>

#include "catch.h"
#include "dmabuffs/tree/mount.h"

using dmabuffs::Freeing;
using namespace std::chrono_literals;

TEST_CASE("who is short of memory waits for what is being freed, and for no longer than he may") {
  Freeing freeing;
  REQUIRE_FALSE(freeing.wait(10s));  // nothing to wait for
  auto token = freeing.begin();
  REQUIRE_FALSE(freeing.wait(1ms));
  std::thread other([&token] {
    std::this_thread::sleep_for(20ms);
    token.reset();
  });
  const bool freed = freeing.wait(10s);
  other.join();
  REQUIRE(freed);
  REQUIRE_FALSE(freeing.wait(10s));
}

TEST_CASE("what began later and ended sooner is not what was waited for") {
  Freeing freeing;
  auto first = freeing.begin();
  std::thread other([&] {
    std::this_thread::sleep_for(20ms);
    freeing.begin().reset();
    std::this_thread::sleep_for(50ms);
    first.reset();
  });
  const auto start = Freeing::Clock::now();
  CHECK(freeing.wait(10s));
  CHECK(Freeing::Clock::now() - start > 60ms);
  other.join();
}

TEST_CASE("a busy machine may take half a second to say that a removed buffer is free") {
  Freeing freeing;
  auto expected = freeing.expect();
  std::thread other([&expected] {
    std::this_thread::sleep_for(500ms);
    expected.reset();
  });
  const bool freed = freeing.wait(10s);
  other.join();
  REQUIRE(freed);
}

TEST_CASE("what is expected to be freed is waited for, but not for longer than it is likely") {
  Freeing freeing;
  auto expected = freeing.expect();
  std::thread other([&expected] {
    std::this_thread::sleep_for(20ms);
    expected.reset();
  });
  const bool freed = freeing.wait(10s);
  other.join();
  REQUIRE(freed);

  // A removed file that somebody holds open costs the wait once, not each time.
  auto held = freeing.expect();
  const auto start = Freeing::Clock::now();
  REQUIRE_FALSE(freeing.wait(10s));
  REQUIRE(Freeing::Clock::now() - start < 5s);
  const auto again = Freeing::Clock::now();
  REQUIRE_FALSE(freeing.wait(10s));
  REQUIRE(Freeing::Clock::now() - again < Freeing::kGrace);
  held->renew();  // it is being closed
  std::thread closer([&held] {
    std::this_thread::sleep_for(20ms);
    held.reset();
  });
  const bool closed = freeing.wait(10s);
  closer.join();
  REQUIRE(closed);
}
