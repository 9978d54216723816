// SPDX-License-Identifier: MIT
/// Recycled memory holds the bytes of a removed buffer: none of them may ever be seen in another one.
#include "buffer_support.h"

using namespace buffer_test;

namespace {

constexpr int kOld = 0xab;
constexpr uint64_t kSize = 2 * kMiB;

void leave_old_bytes(Bench& bench, const std::shared_ptr<Heap>& heap) {
  const auto removed = bench.buffer(heap);
  REQUIRE(removed->write(0, filled(kSize, kOld)));
  REQUIRE(removed->flush());
}

/// No old byte by read(), in a mapping of the dma-buf, or after the size grew over all the capacity.
void hunt(Buffer& buffer) {
  REQUIRE_FALSE(contains(content(buffer), kOld));
  REQUIRE(buffer.flush());
  if (buffer.info().is_dmabuf) REQUIRE_FALSE(contains(through_the_dmabuf(buffer), kOld));
  REQUIRE(buffer.resize(std::max(buffer.info().capacity, buffer.size())));
  REQUIRE_FALSE(contains(content(buffer), kOld));
  if (buffer.info().is_dmabuf) REQUIRE_FALSE(contains(through_the_dmabuf(buffer), kOld));
}

/// A new buffer in recycled memory, with a first piece of a load that will end at kSize.
std::shared_ptr<Buffer> begun_load(Bench& bench, const std::shared_ptr<Heap>& heap, uint64_t done) {
  bench.recycler.drain();
  leave_old_bytes(bench, heap);
  REQUIRE(bench.recycler.held() == kSize);
  const auto buffer = bench.buffer(heap);
  REQUIRE(load(*buffer, 0, filled(300000, 1), done, kSize));
  REQUIRE(bench.recycler.held() == 0);
  REQUIRE(buffer->size() == done);
  REQUIRE_FALSE(buffer->info().is_dmabuf);
  return buffer;
}

}  // namespace

TEST_CASE("a load into recycled memory is no dma-buf and shows no old bytes before it is whole") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = begun_load(bench, heap, 300000);
    Bytes beyond(1000);
    REQUIRE(*buffer->read(300000, beyond) == 0);
    REQUIRE(load(*buffer, 300000, filled(kSize - 300000, 2), kSize - 300000, kSize));
    REQUIRE(buffer->size() == kSize);
    hunt(*buffer);
  });
}

TEST_CASE("the memory of a truncated buffer serves its next load") {
  Bench bench;
  for (const char* name : {"udmabuf", "system"}) {
    const auto heap = real_heap(bench, name);
    if (!heap) continue;
    INFO("heap: " << name);
    const auto buffer = bench.buffer(heap);
    REQUIRE(load(*buffer, 0, filled(kSize, 1), kSize, kSize));
    const uint64_t inode = buffer->info().dmabuf_inode;
    REQUIRE(buffer->resize(0));
    REQUIRE_FALSE(buffer->info().is_dmabuf);
    REQUIRE(load(*buffer, 0, filled(kSize, 2), kSize, kSize));
    REQUIRE(buffer->info().dmabuf_inode == inode);
    REQUIRE(all_equal(through_the_dmabuf(*buffer), 2));
  }
}

TEST_CASE("a load that ends early shows no old bytes") {
  Bench bench;
  on_each_dmabuf_heap(bench,
                      [&](const std::shared_ptr<Heap>& heap) { hunt(*begun_load(bench, heap, 5000)); });
}

TEST_CASE("a load that stores nothing shows no old bytes") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = begun_load(bench, heap, 0);
    REQUIRE(buffer->write(100, filled(1, 1)));
    hunt(*buffer);
  });
}

TEST_CASE("a lease given up in recycled memory shows no old bytes and not its own") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = begun_load(bench, heap, 1000);
    {
      const auto lease = buffer->lease({1000, 100000}, Access::Write, kSize);
      REQUIRE(lease);
      std::ranges::fill((*lease)->bytes(), static_cast<std::byte>(kOld));
    }
    REQUIRE(buffer->size() == 1000);
    hunt(*buffer);
  });
}

TEST_CASE("gaps that a write, a load, an extension or an allocation leaves in recycled memory read zero") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    auto buffer = begun_load(bench, heap, 5000);
    REQUIRE(buffer->write(700000, filled(10, 1)));
    hunt(*buffer);
    buffer = begun_load(bench, heap, 5000);
    REQUIRE(load(*buffer, 700000, filled(10000, 1), 5, kSize));
    hunt(*buffer);
    buffer = begun_load(bench, heap, 5000);
    REQUIRE(buffer->resize(kSize));
    hunt(*buffer);
    buffer = begun_load(bench, heap, 5000);
    REQUIRE(buffer->allocate({0, kSize}, false));
    hunt(*buffer);
    buffer = begun_load(bench, heap, 5000);
    REQUIRE(buffer->resize(100));
    hunt(*buffer);
  });
}

TEST_CASE("memory that was handed out is never given to another buffer") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    {
      const auto buffer = bench.buffer(heap);
      REQUIRE(buffer->resize(kSize));
      REQUIRE(buffer->hand_out(/*huge=*/true, nullptr));
    }
    REQUIRE(bench.recycler.held() == 0);
  });
}
