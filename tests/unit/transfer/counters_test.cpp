// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/counters.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("counters: an operation is counted once per path that moved bytes by it") {
  Counters counters;
  PathBytes bytes{};
  bytes[static_cast<size_t>(Path::PinnedDirect)] = 100;
  bytes[static_cast<size_t>(Path::BounceDirect)] = 7;
  counters.add(bytes, {{Path::BounceDirect, "tail", 7}});
  counters.add(bytes, {{Path::BounceDirect, "tail", 7}});
  const auto all = counters.snapshot();
  CHECK(all.paths[static_cast<size_t>(Path::PinnedDirect)].operations == 2);
  CHECK(all.paths[static_cast<size_t>(Path::PinnedDirect)].bytes == 200);
  CHECK(all.paths[static_cast<size_t>(Path::Buffered)].operations == 0);
  REQUIRE(all.reasons.size() == 1);
  CHECK(all.reasons[0].bytes == 14);
}

TEST_CASE("counters: kinds of reasons and refusals kept are bounded") {
  Counters counters;
  for (int kind = 0; kind < 100; ++kind) {
    counters.add({}, {{Path::Buffered, std::to_string(kind), 1}});
    counters.refuse(std::to_string(kind));
  }
  const auto all = counters.snapshot();
  CHECK(all.reasons.size() == 32);
  REQUIRE(all.refused.size() == 16);
  CHECK(all.refused.front().message == "84");
  CHECK(all.refused.back().message == "99");
}

TEST_CASE("counters: a message that comes again is counted, not kept twice") {
  Counters counters;
  for (const char* message : {"one", "two", "one"}) counters.refuse(message);
  const auto all = counters.snapshot();
  REQUIRE(all.refused.size() == 2);
  CHECK(all.refused[0].message == "two");
  CHECK(all.refused[1].message == "one");
  CHECK(all.refused[1].times == 2);
  CHECK(all.refused[1].last >= all.refused[0].last);
}
