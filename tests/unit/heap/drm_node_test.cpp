// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/drm_node.h"

#include "catch.h"
#include "heap_support.h"

using namespace dmabuffs;
using namespace heap_test;

TEST_CASE("a display's heap is called as its node") {
  CHECK(drm_heap_name("card0") == "drm-card0");
  CHECK(drm_heap_name("card12") == "drm-card12");
  for (const char* other : {"card", "card0-HDMI", "renderD128", "controlD64", "xcard0", "by-path", ""})
    CHECK(drm_heap_name(other).empty());
}

TEST_CASE("a dumb buffer has a line a page, or lines as long as a picture's") {
  const auto plain = dumb_shape(3 * kMiB + 1, 0);
  REQUIRE(plain);
  CHECK(plain->width == 1024);
  CHECK(plain->height == 769);
  const auto picture = dumb_shape(uint64_t{640} * 4 * 480, 640 * 4);
  REQUIRE(picture);
  CHECK(picture->width == 640);
  CHECK(picture->height == 480);
  const auto odd = dumb_shape(uint64_t{321} * 3 * 7, 321 * 3);  // 24 bits a pixel
  REQUIRE(odd);
  CHECK(odd->width * 4 == 964);
  CHECK(uint64_t{odd->width} * 4 * odd->height >= uint64_t{321} * 3 * 7);
  const auto byte = dumb_shape(1, 1);
  REQUIRE(byte);
  CHECK(byte->width == 1);
  CHECK(byte->height == 1);
}

TEST_CASE("sizes that no dumb buffer has are refused, whatever they are") {
  constexpr uint64_t kMost = (uint64_t{1} << 32) - 4096, kAll = UINT64_MAX;
  const auto largest = dumb_shape(kMost, 0);
  REQUIRE(largest);
  CHECK(uint64_t{largest->width} * 4 * largest->height == kMost);
  CHECK(dumb_shape(kMost + 1, 0).error().code == EFBIG);
  CHECK(dumb_shape(kAll, 0).error().code == EFBIG);
  CHECK(dumb_shape(kAll, 1).error().code == EFBIG);
  CHECK(dumb_shape(0, 0).error().code == EINVAL);
  CHECK(dumb_shape(1, kAll).error().code == EINVAL);
  CHECK(dumb_shape(1, kAll - 4).error().code == EINVAL);
  CHECK(dumb_shape(1, kMost + 4).error().code == EINVAL);
  CHECK(dumb_shape(kMost, kMost));
}

TEST_CASE("what is no display's node makes no heap, and is no trouble") {
  const TemporaryDirectory root;
  root.write("dri/card0", "");
  root.write("dri/renderD128", "");
  DrmNodes nodes(root.path() + "/dri");
  const auto any = [](const std::string&) { return true; };
  CHECK(nodes.look(any).empty());
  CHECK(DrmNodes(root.path() + "/none").look(any).empty());
  CHECK(DrmNode::open(root.path() + "/dri/card0").error().code == EOPNOTSUPP);
  CHECK(DrmNode::open(root.path() + "/dri/card1").error().code == ENODEV);
  CHECK(DrmNode::open("/dev/null").error().code == EOPNOTSUPP);
}
