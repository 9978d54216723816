// SPDX-License-Identifier: MIT
/// Waiting for memory that other threads are freeing.
#include <thread>

#include "catch.h"
#include "dmabuffs/fs/freeing.h"

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
