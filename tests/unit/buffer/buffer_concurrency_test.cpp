// SPDX-License-Identifier: MIT
/// Many threads on one buffer. Worth most under the thread sanitizer.
#include <atomic>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <thread>

#include "buffer_support.h"
#include "dmabuffs/base/must_not_wait.h"
#include "dmabuffs/buffer/use_lock.h"

using namespace buffer_test;

namespace {

constexpr int kRounds = 60;
constexpr uint64_t kPiece = 40000;

/// Writers, each in a stripe of its own and with one value; readers, who may see that value or zero; and
/// threads that resize, flush, stat and rename meanwhile.
void crowd(Bench& bench, const std::shared_ptr<Heap>& heap) {
  const auto buffer = bench.buffer(heap);
  std::atomic<unsigned> wrong{0};
  const auto stripe = [](int writer) { return static_cast<uint64_t>(writer) * kPiece; };
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 2; ++writer) {
    threads.emplace_back([&, writer] {
      const Bytes bytes = filled(kPiece, writer + 1);
      for (int round = 0; round < kRounds; ++round) {
        if (!buffer->write(stripe(writer), bytes)) ++wrong;
        const auto lease = buffer->lease({stripe(writer), kPiece}, Access::Write, 0);
        if (!lease || !(*lease)->populate((*lease)->bytes())) {
          ++wrong;
          continue;
        }
        std::ranges::copy(bytes, (*lease)->bytes().begin());
        if (!(*lease)->commit(kPiece)) ++wrong;
      }
    });
  }
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&, reader] {
      Bytes bytes(kPiece);
      for (int round = 0; round < 2 * kRounds; ++round) {
        const auto got = buffer->read(stripe(reader), bytes);
        if (!got) ++wrong;
        for (size_t i = 0; got && i < *got; ++i) {
          if (bytes[i] != std::byte{0} && bytes[i] != static_cast<std::byte>(reader + 1)) ++wrong;
        }
        if (buffer->size() == 0) continue;
        const auto lease = buffer->lease({0, 1}, Access::Read, 0);
        if (!lease && lease.error().code != EINVAL) ++wrong;
      }
    });
  }
  threads.emplace_back([&] {
    for (int round = 0; round < kRounds; ++round) {
      if (!buffer->flush()) ++wrong;
      if (!buffer->resize(round % 3 == 0 ? 0 : static_cast<uint64_t>(round) * 1000)) ++wrong;
      if (!buffer->zero({0, 100})) ++wrong;
    }
  });
  threads.emplace_back([&] {
    for (int round = 0; round < 3 * kRounds; ++round) {
      const BufferInfo info = buffer->info();
      if (info.is_dmabuf && info.capacity < info.size) ++wrong;
      (void)buffer->would_block(Access::Write);
      buffer->set_name("round " + std::to_string(round));
      buffer->idle();
    }
  });
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong == 0);
}

}  // namespace

TEST_CASE("many threads on one memfd buffer see each other's bytes or zeros, nothing else") {
  Bench bench;
  crowd(bench, real_heap(bench, "memfd"));
}

TEST_CASE("many threads on one buffer of dma-buf memory see each other's bytes or zeros, nothing else") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) { crowd(bench, heap); });
}

TEST_CASE("a lease may be given up on another thread, and a truncation waits for it") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->write(0, filled(10000, 1)));
    auto lease = buffer->lease({0, 10000}, Access::Read, 0);
    REQUIRE(lease);
    std::atomic<bool> truncated{false};
    std::thread truncation([&] {
      (void)buffer->resize(0);
      truncated = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    REQUIRE_FALSE(truncated);
    REQUIRE(buffer->would_block(Access::Write));
    REQUIRE(buffer->size() == 10000);
    REQUIRE(all_equal((*lease)->bytes(), 1));
    std::thread([moved = std::move(*lease)]() mutable { moved.reset(); }).join();
    truncation.join();
    REQUIRE(buffer->size() == 0);
  });
}

TEST_CASE("a thread that must not wait is not held up by a lease, but told") {
  Bench bench;
  const auto check = [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->write(0, filled(10000, 1)));
    auto lease = buffer->lease({10000, 10000}, Access::Write, 20000);
    REQUIRE(lease);
    Bytes bytes(100);
    {
      const MustNotWait here;
      CHECK_THROWS_AS(buffer->read(0, bytes), Elsewhere);
      CHECK_THROWS_AS(buffer->write(0, bytes), Elsewhere);
    }
    lease->reset();
    const MustNotWait here;
    CHECK(buffer->read(0, bytes).value() == 100);
    CHECK(bytes == filled(100, 1));
  };
  check(real_heap(bench, "memfd"));
  on_each_dmabuf_heap(bench, check);
}
