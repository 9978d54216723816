// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/look/colours.h"

#include <algorithm>

#include "catch.h"

using namespace dmabuffs;
using namespace dmabuffs::cli;

namespace {

using Pixels = std::vector<uint8_t>;

/// Grey pixels of these values, shrunk; `at_once`: how many rows come in one call. Their red.
Pixels shrunk(const Pixels& greys, uint32_t width, uint32_t new_width, uint32_t new_height, size_t at_once) {
  Pixels rgba;
  for (const uint8_t grey : greys) rgba.insert(rgba.end(), {grey, 1, 2, 255});
  Pixels reds;
  Shrinker shrinker(width, static_cast<uint32_t>(greys.size() / width), new_width, new_height,
                    [&](std::span<const uint8_t> row) -> Result<void> {
                      CHECK(row.size() == new_width * 4);
                      for (size_t i = 0; i < row.size(); i += 4) {
                        reds.push_back(row[i]);
                        CHECK(row[i + 1] == 1);
                        CHECK(row[i + 3] == 255);
                      }
                      return {};
                    });
  const size_t part = at_once * width * 4;
  for (size_t at = 0; at < rgba.size(); at += part)
    CHECK(shrinker.add(std::span(rgba).subspan(at, std::min(part, rgba.size() - at))));
  return reds;
}

}  // namespace

TEST_CASE("a picture made smaller has the mean of the pixels that come together") {
  const Pixels greys{0, 10, 20, 30, 10, 20, 30, 40, 100, 100, 200, 200, 100, 100, 200, 203};
  for (const size_t at_once : {1U, 3U, 4U}) {
    CHECK(shrunk(greys, 4, 4, 4, at_once) == greys);
    CHECK(shrunk(greys, 4, 2, 2, at_once) == Pixels{10, 30, 100, 201});
    CHECK(shrunk(greys, 4, 1, 1, at_once) == Pixels{85});
  }
}

TEST_CASE("sizes that are no multiples use each pixel once") {
  CHECK(shrunk({1, 2, 3, 4, 5}, 5, 2, 1, 1) == Pixels{2, 5});  // 1 2 3, 4 5 (4.5, rounded)
  CHECK(shrunk({1, 2, 3, 4, 5}, 1, 1, 2, 2) == Pixels{2, 5});
  CHECK(shrunk({1, 2, 3, 4, 5}, 1, 1, 5, 5) == Pixels{1, 2, 3, 4, 5});
}

TEST_CASE("an error of whom the rows go to comes back") {
  Shrinker shrinker(1, 2, 1, 2, [](std::span<const uint8_t>) -> Result<void> { return fail(EPIPE, "gone"); });
  const Pixels pixel{0, 0, 0, 0};
  CHECK(shrinker.add(pixel).error().message == "gone");
}
