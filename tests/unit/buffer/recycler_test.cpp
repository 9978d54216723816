// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/recycler.h"

#include <chrono>
#include <thread>

#include "catch.h"
#include "dmabuffs/heap/memfd_heap.h"
#include "heap_support.h"

using namespace dmabuffs;
using namespace heap_test;

namespace {

std::unique_ptr<MemfdStorage> memory(Budget& budget, uint64_t bytes) {
  auto storage = MemfdStorage::make(budget, ::getuid(), "recycler-test");
  REQUIRE(storage);
  REQUIRE((*storage)->resize(bytes));
  return std::move(*storage);
}

}  // namespace

TEST_CASE("a recycled storage comes back to the same user, heap and capacity only") {
  Budget budget(generous());
  Recycler recycler(16 * kMiB);
  auto storage = memory(budget, 2 * kMiB);
  const Storage* original = storage.get();
  recycler.put("udmabuf", 1000, std::move(storage));
  CHECK(recycler.held() == 2 * kMiB);
  CHECK(recycler.take("system", 1000, 2 * kMiB) == nullptr);
  CHECK(recycler.take("udmabuf", 1001, 2 * kMiB) == nullptr);
  CHECK(recycler.take("udmabuf", 1000, 2 * kMiB - 4096) == nullptr);
  CHECK(recycler.has("udmabuf", 1000, 2 * kMiB));
  CHECK(!recycler.has("udmabuf", 1001, 2 * kMiB));
  CHECK(recycler.take("udmabuf", 1000, 2 * kMiB).get() == original);
  CHECK(!recycler.has("udmabuf", 1000, 2 * kMiB));
  CHECK(recycler.take("udmabuf", 1000, 2 * kMiB) == nullptr);
  CHECK(recycler.held() == 0);
}

TEST_CASE("the recycler keeps within its limit by freeing the oldest") {
  Budget budget(generous());
  Recycler recycler(8 * kMiB);
  recycler.put("h", 1, memory(budget, 4 * kMiB));
  recycler.put("h", 1, memory(budget, 3 * kMiB));
  recycler.put("h", 1, memory(budget, 2 * kMiB));
  CHECK(recycler.held() == 5 * kMiB);
  CHECK(budget.used() == 5 * kMiB);
  CHECK(recycler.take("h", 1, 4 * kMiB) == nullptr);
  CHECK(recycler.take("h", 1, 3 * kMiB) != nullptr);
}

TEST_CASE("what is too large or too small to be worth it is freed at once") {
  Budget budget(generous());
  Recycler recycler(8 * kMiB);
  recycler.put("h", 1, memory(budget, kMiB - 4096));
  recycler.put("h", 1, memory(budget, 9 * kMiB));
  recycler.put("h", 1, nullptr);
  CHECK(recycler.held() == 0);
  CHECK(budget.used() == 0);
}

TEST_CASE("a recycler of limit 0 keeps nothing") {
  Budget budget(generous());
  Recycler recycler(0);
  recycler.put("h", 1, memory(budget, kMiB));
  CHECK(recycler.held() == 0);
  CHECK(budget.used() == 0);
}

TEST_CASE("the recycler frees what nobody wanted for its age limit") {
  Budget budget(generous());
  Recycler recycler(8 * kMiB, 1);
  recycler.put("h", 1, memory(budget, kMiB));
  recycler.expire();
  CHECK(recycler.held() == kMiB);
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  recycler.expire();
  CHECK(recycler.held() == 0);
  CHECK(budget.used() == 0);
}

TEST_CASE("draining the recycler gives everything back and says whether there was something") {
  Budget budget(generous());
  Recycler recycler(8 * kMiB);
  CHECK(!recycler.drain());
  recycler.put("h", 1, memory(budget, kMiB));
  recycler.put("h", 2, memory(budget, kMiB));
  CHECK(recycler.drain());
  CHECK(recycler.held() == 0);
  CHECK(budget.used() == 0);
}

TEST_CASE("a budget that is used up by recycled memory gets it back for a new buffer") {
  Budget budget({10 * kMiB, 0, ::getuid()});
  Recycler recycler(8 * kMiB);
  budget.set_relief([&] { return recycler.drain(); });
  recycler.put("h", ::getuid(), memory(budget, 8 * kMiB));
  CHECK(budget.used() == 8 * kMiB);
  CHECK(memory(budget, 9 * kMiB)->capacity() == 9 * kMiB);
}

namespace {

/// Whether the recycler becomes empty within five seconds without being called.
bool becomes_empty(const Recycler& recycler) {
  for (int round = 0; round < 100 && recycler.held() > 0; ++round)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return recycler.held() == 0;
}

}  // namespace

TEST_CASE("memory that nobody wants goes back by itself") {
  Budget budget(generous());
  Recycler recycler(8 * kMiB, 1);
  recycler.put("h", 1, memory(budget, kMiB));
  CHECK(recycler.held() == kMiB);
  CHECK(becomes_empty(recycler));
  recycler.put("h", 1, memory(budget, kMiB));
  CHECK(recycler.held() == kMiB);
  CHECK(becomes_empty(recycler));
}

TEST_CASE("recycled memory goes back when others lack it, before its time") {
  Budget budget(generous());
  Recycler recycler(8 * kMiB, 1000, [] { return true; });
  recycler.put("h", 1, memory(budget, kMiB));
  CHECK(becomes_empty(recycler));
}
