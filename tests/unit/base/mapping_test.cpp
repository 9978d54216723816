// SPDX-License-Identifier: MIT
#include "dmabuffs/base/mapping.h"

#include <atomic>
#include <new>

#include "catch.h"

using namespace dmabuffs;

TEST_CASE("parts: what finds no memory is an error once all parts are done, on whatever thread it was") {
  const auto room = Mapping::reserve(size_t{128} << 20, kHugePage);
  REQUIRE(room);
  const std::span<std::byte> bytes(room->data(), room->size());
  for (const bool first : {true, false}) {
    std::atomic<int> parts{0};
    const auto outcome = in_parts(bytes, [&](std::span<std::byte>, uint64_t offset) -> Result<void> {
      ++parts;
      if ((offset == 0) == first) throw std::bad_alloc();
      return {};
    });
    if (!first && parts == 1) continue;  // a machine with one processor
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == ENOMEM);
  }
}
