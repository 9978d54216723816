// SPDX-License-Identifier: MIT
#include "dmabuffs/base/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <string>

#include "dmabuffs/base/range.h"
#include "dmabuffs/base/unique_fd.h"

#include "catch.h"
#include "smaps.h"

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

TEST_CASE("a memfd's huge pages lie in a mapping as they do in the file") {
  const UniqueFd memfd(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(memfd);
  for (const uint64_t offset : {uint64_t{0}, kPage, kHugePage - kPage, kHugePage, 3 * kHugePage + kPage}) {
    INFO(offset);
    REQUIRE(::ftruncate(memfd.get(), static_cast<off_t>(offset + 2 * kHugePage)) == 0);
    auto mapping = Mapping::of_memfd(memfd.get(), offset, 2 * kHugePage);
    REQUIRE(mapping);
    CHECK(mapping->size() == 2 * kHugePage);
    CHECK(reinterpret_cast<uintptr_t>(mapping->data()) % kHugePage == offset % kHugePage);
    const size_t first_whole = (kHugePage - offset % kHugePage) % kHugePage;
    CHECK(smaps_value(mapping->data() + first_whole, "VmFlags:").find(" hg") != std::string::npos);
    REQUIRE(populate(mapping->bytes()));
    mapping->bytes().front() = std::byte{7};
    mapping->bytes().back() = std::byte{9};
    char first = 0, last = 0;
    CHECK(::pread(memfd.get(), &first, 1, static_cast<off_t>(offset)) == 1);
    CHECK(::pread(memfd.get(), &last, 1, static_cast<off_t>(offset + 2 * kHugePage - 1)) == 1);
    CHECK(first == 7);
    CHECK(last == 9);
  }
}
