// SPDX-License-Identifier: MIT
// Real displays' buffers, where there are any: in the guest of tests/guest/drm.sh.
#include "dmabuffs/heap/drm_heap.h"

#include <fcntl.h>
#include <unistd.h>
#include <xf86drm.h>

#include <algorithm>

#include "catch.h"
#include "dmabuffs/heap/dmabuf_storage.h"
#include "heap_support.h"

using namespace dmabuffs;
using namespace heap_test;

namespace {

DrmNodes::Found displays() {
  return DrmNodes("/dev/dri").look([](const std::string&) { return true; });
}

std::string path_of(const std::string& heap) {
  return "/dev/dri/" + heap.substr(heap.find('-') + 1);
}

}  // namespace

TEST_CASE("a display's buffer is a dma-buf from birth that reads zero, and outlives its handle") {
  for (const auto& [name, node] : displays()) {
    INFO(name);
    Budget budget(generous());
    DrmHeap heap(budget, path_of(name), node);
    CHECK(heap.name() == name);
    CHECK(heap.is_dmabuf());
    CHECK(!heap.growable());
    // Memory of one that was full of other bytes is likely to be given again.
    for (int round = 0; round < 3; ++round) {
      auto made = heap.create(kMiB + 1, ::getuid());
      REQUIRE(made);
      CHECK((*made)->capacity() >= kMiB + 4096);
      CHECK((*made)->capacity() == static_cast<uint64_t>(::lseek((*made)->dmabuf_fd(), 0, SEEK_END)));
      CHECK(budget.used() == (*made)->capacity());
      const auto bytes = (*made)->map().value();
      CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0}) ==
            static_cast<std::ptrdiff_t>(bytes.size()));
      std::fill(bytes.begin(), bytes.end(), std::byte{0xa5});
      CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0xa5}) ==
            static_cast<std::ptrdiff_t>(bytes.size()));
      CHECK(!(*made)->held_by_others());
    }
    CHECK(budget.used() == 0);
    CHECK(heap.create(0, ::getuid()).error().code == EINVAL);
    CHECK(heap.create(UINT64_MAX, ::getuid()).error().code == EFBIG);
    CHECK(budget.used() == 0);
  }
}

TEST_CASE("the driver says how long a picture's lines are") {
  for (const auto& [name, node] : displays()) {
    INFO(name);
    Budget budget(generous());
    DrmHeap heap(budget, path_of(name), node);
    const auto packed = heap.stride_for(1366 * 4, 32, 1366);
    REQUIRE(packed);
    CHECK(*packed == node->pitch(1366, 32).value());
    CHECK(*packed >= 1366 * 4);
    const auto none = heap.stride_for(1366, 7, UINT32_MAX);  // as no driver makes it
    REQUIRE(none);
    CHECK(*none == 1536);
    const auto rows = heap.create_rows(uint64_t{1366} * 4 * 768, 1366 * 4, ::getuid());
    REQUIRE(rows);
    CHECK((*rows)->capacity() >= uint64_t{1366} * 4 * 768);
  }
}

TEST_CASE("while a display's heap is there, others become the display's master") {
  for (const auto& [name, node] : displays()) {
    INFO(name);
    const UniqueFd other(::open(path_of(name).c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(other);
    CHECK(::drmIsMaster(other.get()) == 1);
  }
}
