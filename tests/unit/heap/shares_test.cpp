// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/shares.h"
#include "dmabuffs/heap/dmabuf_storage.h"

#include "catch.h"

using namespace dmabuffs;

TEST_CASE("a user's names and descriptors end at half of what all but the owner may have") {
  Budget budget({uint64_t{1} << 30, 0, 1});
  Shares shares(budget, {1000, 20, 1, 4000});
  auto first = shares.take_name(1000, 500);
  REQUIRE(first);
  const auto more = shares.take_name(1000, 1);
  REQUIRE_FALSE(more);
  CHECK(more.error().code == ENOSPC);
  CHECK(more.error().message.find("user 1000") != std::string::npos);
  CHECK(shares.take_name(1001, 500));
  auto second = shares.take_name(1001, 500);
  REQUIRE(second);
  CHECK_FALSE(shares.take_name(1002, 1));  // all of it is taken, though not by this user
  CHECK(shares.take_name(1, 100000));      // the owner
  CHECK(shares.take_descriptors(1000, 10));
  CHECK_FALSE(shares.take_descriptors(1000, 11));
  CHECK(shares.take_addresses(1000, 2000));
  CHECK_FALSE(shares.take_addresses(1000, 2001));
  SECTION("what goes is free again") {
    *second = Share();
    CHECK(shares.take_name(1002, 500));
  }
  SECTION("a share can become smaller, and not too large") {
    REQUIRE(first->resize(100));
    CHECK_FALSE(first->resize(501));
    CHECK(first->amount() == 100);
    CHECK(shares.take_name(1000, 400));
  }
}

TEST_CASE("names take no memory that the machine lacks") {
  Budget budget({uint64_t{1} << 30, 0, 1}, MemoryGauge());
  Shares shares(budget, {uint64_t{1} << 60, 20, 1});
  const auto refused = shares.take_name(1, uint64_t{1} << 50);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ENOMEM);
}

TEST_CASE("a dma-buf's name is cut between characters") {
  CHECK(cut_dmabuf_name("short") == "short");
  CHECK(cut_dmabuf_name(std::string(40, 'x')) == std::string(31, 'x'));
  const std::string umlauts =
      "x\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"
      "\u00e4";  // 33 bytes
  CHECK(cut_dmabuf_name(umlauts) == umlauts.substr(0, 31));
  CHECK(cut_dmabuf_name("y" + umlauts) == ("y" + umlauts).substr(0, 30));
  CHECK(cut_dmabuf_name(std::string(30, 'x') + "\U0001F600") == std::string(30, 'x'));
  CHECK(cut_dmabuf_name(std::string(40, '\x80')).size() == 31);  // no UTF-8
}
