// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/look/terminal.h"

#include <array>

#include "catch.h"

using namespace dmabuffs::cli;

namespace {

std::array<uint32_t, 2> fit(uint32_t width, uint32_t height, uint32_t room_width, uint32_t room_height) {
  const Extent extent = fitted({width, height}, {room_width, room_height});
  return {extent.width, extent.height};
}

}  // namespace

TEST_CASE("a picture keeps its shape in a room that is too small, and its size in a larger one") {
  using Size = std::array<uint32_t, 2>;
  CHECK(fit(1920, 1080, 80, 46) == Size{80, 45});
  CHECK(fit(1920, 1080, 80, 20) == Size{36, 20});
  CHECK(fit(1080, 1920, 80, 46) == Size{26, 46});
  CHECK(fit(40, 30, 80, 46) == Size{40, 30});
  CHECK(fit(65536, 1, 80, 46) == Size{80, 1});
  CHECK(fit(1, 65536, 80, 46) == Size{1, 46});
  CHECK(fit(65536, 65536, 1, 1) == Size{1, 1});
}
