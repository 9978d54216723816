// SPDX-License-Identifier: MIT
/// What the tests of buffers share.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "catch.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/memfd_heap.h"

namespace buffer_test {

using namespace dmabuffs;
using Bytes = std::vector<std::byte>;

inline Bytes filled(size_t length, int value) {
  return Bytes(length, static_cast<std::byte>(value));
}

inline Bytes random_bytes(size_t length, std::mt19937& random) {
  Bytes bytes(length);
  for (size_t i = 0; i < length; i += 64) bytes[i] = static_cast<std::byte>(random());
  for (size_t i = 0; i < std::min<size_t>(length, 64); ++i)
    bytes[length - 1 - i] = static_cast<std::byte>(random());
  return bytes;
}

inline bool all_equal(std::span<const std::byte> bytes, int value) {
  return std::ranges::all_of(bytes, [=](std::byte byte) { return byte == static_cast<std::byte>(value); });
}

inline bool contains(std::span<const std::byte> bytes, int value) {
  return std::ranges::find(bytes, static_cast<std::byte>(value)) != bytes.end();
}

/// All bytes, by read().
inline Bytes content(Buffer& buffer) {
  Bytes bytes(buffer.size() + 1);
  const auto got = buffer.read(0, bytes);
  REQUIRE(got);
  bytes.resize(*got);
  return bytes;
}

/// Writes a window through a lease; commits `done` bytes.
inline Result<void> load(Buffer& buffer, uint64_t offset, std::span<const std::byte> from, uint64_t done,
                         uint64_t expected_end) {
  auto lease = buffer.lease({offset, from.size()}, Access::Write, expected_end);
  if (!lease) return pass(std::move(lease));
  REQUIRE((*lease)->populate((*lease)->bytes()));
  std::ranges::copy(from, (*lease)->bytes().begin());
  return (*lease)->commit(done);
}

/// What a program that was handed the dma-buf would see of all its capacity.
inline Bytes through_the_dmabuf(const Buffer& buffer) {
  const BufferInfo info = buffer.info();
  REQUIRE(info.is_dmabuf);
  const auto mapping = Mapping::of_file(info.pid_fd, 0, info.capacity, PROT_READ);
  REQUIRE(mapping);
  return {mapping->bytes().begin(), mapping->bytes().end()};
}

/// Memory like that of a heap of dma-bufs, but for the device: so that the rules of a buffer are tested on
/// machines that lack the devices, and under the thread sanitizer, too slow for the guest. It never has a
/// descriptor.
class PlainStorage final : public Storage {
 public:
  PlainStorage(std::unique_ptr<MemfdStorage> memory, bool growable, const bool& publish_fails,
               const bool& first_page_fails)
      : memory_(std::move(memory)),
        growable_(growable),
        publish_fails_(publish_fails),
        first_page_fails_(first_page_fails) {}
  uint64_t capacity() const override { return memory_->capacity(); }
  int dmabuf_fd() const override { return -1; }
  Result<UniqueFd> hand_out() const override {
    return UniqueFd(::fcntl(memory_->memfd(), F_DUPFD_CLOEXEC, 0));
  }
  bool held_by_others(unsigned) override { return true; }
  bool pinnable() const override { return true; }
  bool growable() const override { return growable_; }
  Result<void> resize(uint64_t capacity) override {
    return growable_ ? memory_->resize(capacity) : fail(EBUSY, "plain: can't change its size");
  }
  Result<void> publish(const std::string&) override {
    if (publish_fails_) return fail(EIO, "plain: the kernel refused");
    growable_ = false;
    return {};
  }
  Result<std::span<std::byte>> map() override {
    auto bytes = memory_->map();
    if (bytes && first_page_fails_) REQUIRE(::mprotect(bytes->data(), kPage, PROT_NONE) == 0);
    return bytes;
  }
  void unmap() override { memory_->unmap(); }

 private:
  std::unique_ptr<MemfdStorage> memory_;
  std::atomic<bool> growable_;
  const bool& publish_fails_;
  const bool& first_page_fails_;
};

class PlainHeap final : public Heap {
 public:
  PlainHeap(Budget& budget, bool growable)
      : Heap(budget, growable ? HeapKind::Udmabuf : HeapKind::DmaHeap, "plain") {}
  Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) override {
    ++created;
    auto memory = MemfdStorage::make(budget(), uid, name());
    if (!memory) return pass(std::move(memory));
    if (auto sized = (*memory)->resize(capacity_for(size)); !sized) return pass(std::move(sized));
    return std::make_unique<PlainStorage>(std::move(*memory), growable(), publish_fails, first_page_fails);
  }

  unsigned created = 0;
  bool publish_fails = false;
  bool first_page_fails = false;  // can be neither read nor written, in memory made from then on
};

/// Where a test's buffers come from.
struct Bench {
  explicit Bench(uint64_t limit = 0, uint64_t recycle = 64 * kMiB)
      : budget(limits(limit)), recycler(recycle) {}
  static Budget::Limits limits(uint64_t total) {
    Budget::Limits limits;
    limits.total = total;
    return limits;
  }
  std::shared_ptr<PlainHeap> plain(bool growable) { return std::make_shared<PlainHeap>(budget, growable); }
  std::shared_ptr<Buffer> buffer(std::shared_ptr<Heap> heap) {
    return Buffer::make(std::move(heap), recycler, 0, "test");
  }
  Budget budget;
  Recycler recycler;
};

inline bool must_be_real() {
  const char* asked = std::getenv("DMABUFFS_REAL");
  return asked != nullptr && std::string(asked) == "1";
}

/// The machine's own heap of that name; without it the test fails if DMABUFFS_REAL=1, else it gets nullptr.
inline std::shared_ptr<Heap> real_heap(Bench& bench, const std::string& name) {
  auto registry = HeapRegistry::make(bench.budget, {});
  REQUIRE(registry);
  auto heap = (*registry)->find(name);
  if (must_be_real()) REQUIRE(heap != nullptr);
  return heap;
}

/// The heaps of dma-bufs a rule is tested on: both plain ones, and the machine's own where there are some.
inline void on_each_dmabuf_heap(Bench& bench, const std::function<void(std::shared_ptr<Heap>)>& test) {
  for (const bool growable : {true, false}) {
    INFO("plain heap, growable: " << growable);
    test(bench.plain(growable));
    bench.recycler.drain();
  }
  for (const char* name : {"udmabuf", "system"}) {
    const auto heap = real_heap(bench, name);
    if (!heap) continue;
    INFO("heap: " << name);
    test(heap);
    bench.recycler.drain();
  }
}

inline std::shared_ptr<Buffer> memfd_buffer(Bench& bench) {
  const auto buffer = bench.buffer(real_heap(bench, "memfd"));
  REQUIRE(buffer->passthrough_fd() >= 0);
  return buffer;
}

}  // namespace buffer_test
