// SPDX-License-Identifier: MIT
#include "dmabuffs/base/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <new>
#include <sstream>
#include <string>

#include "dmabuffs/base/range.h"
#include "dmabuffs/base/unique_fd.h"

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

namespace {

/// Whether the mapping that holds `address` has the flag "hg" (proc(5), smaps).
bool asks_for_huge_pages(uintptr_t address) {
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t start = 0, end = 0;
    char dash = 0;
    if (std::istringstream(line) >> std::hex >> start >> dash >> end && dash == '-')
      here = start <= address && address < end;
    if (here && line.starts_with("VmFlags:")) return line.find(" hg") != std::string::npos;
  }
  return false;
}

}  // namespace

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
    CHECK(asks_for_huge_pages(round_up(reinterpret_cast<uintptr_t>(mapping->data()), kHugePage)));
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
