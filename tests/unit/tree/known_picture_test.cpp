// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/known_picture.h"

#include <sys/xattr.h>

#include "dmabuffs/tree/heaps/extended_attributes.h"

#include "catch.h"

using namespace dmabuffs;

TEST_CASE("the attribute says the picture, and whether somebody said it or a name") {
  const auto guessed = guess_from("frame_64x48_nv12.yuv", 4608);
  REQUIRE(guessed);
  CHECK(guessed->guessed);
  const std::string text = to_attribute(*guessed);
  CHECK(text == "NV12:64x48:stride=64,64:offset=0,3072:from=name");
  const auto back = from_attribute(text);
  REQUIRE(back);
  CHECK(back->guessed);
  CHECK(to_attribute(*back) == text);
  const auto said = from_attribute("XR24:64x48");
  REQUIRE(said);
  CHECK_FALSE(said->guessed);
  CHECK(to_json(*said).at("from") == "set");
  CHECK(to_json(*said).at("planes").at(0).at("stride") == 256);
  CHECK_FALSE(guess_from("notes.txt", 4608));
}

TEST_CASE("an attribute that is no picture is EINVAL") {
  for (const char* text : {"", "NV12", "NV12:0x0", "NV12:64x48:stride=1", "QQQQ:64x48", ":from=name"}) {
    INFO(text);
    const auto known = from_attribute(text);
    REQUIRE_FALSE(known);
    CHECK(known.error().code == EINVAL);
  }
}

TEST_CASE("attributes are charged for, and what is refused changes nothing") {
  Budget budget({uint64_t{1} << 30, 0, 1});
  Shares shares(budget, {2000, 20, 1});
  Share share = *shares.take_name(1000, 500);
  ExtendedAttributes attributes;
  REQUIRE(attributes.set("user.a", "1234", 0, share));
  CHECK(share.amount() == 500 + sizeof("user.a") + 4);
  CHECK(attributes.set("user.a", "1", XATTR_CREATE, share).error().code == EEXIST);
  CHECK(attributes.set("user.b", "1", XATTR_REPLACE, share).error().code == ENODATA);
  CHECK(attributes.set("user.a", std::string(600, 'x'), 0, share).error().code == ENOSPC);  // more than half
  CHECK(attributes.get("user.a").value() == "1234");
  CHECK(attributes.set("trusted.a", "1", 0, share).error().code == ENOTSUP);
  CHECK(attributes.set("user.", "1", 0, share).error().code == EINVAL);
  CHECK(attributes.set(kPictureAttribute, "nonsense", 0, share).error().code == EINVAL);
  REQUIRE(attributes.set(kPictureAttribute, "R8:8x8", 0, share));
  CHECK(attributes.names() == std::vector<std::string>{"user.a", kPictureAttribute});
  REQUIRE(attributes.remove(kPictureAttribute, share));
  REQUIRE(attributes.remove("user.a", share));
  CHECK(attributes.remove("user.a", share).error().code == ENODATA);
  CHECK(share.amount() == 500);
}
