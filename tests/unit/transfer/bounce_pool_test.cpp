// SPDX-License-Identifier: MIT
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "dmabuffs/transfer/bounce_pool.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("bounce pool: it never lends more than it has, whoever asks at once") {
  BouncePool pool(3 * BouncePool::kUnit);
  std::atomic<size_t> lent{0}, most{0}, waits{0};
  std::vector<std::thread> borrowers;
  for (int borrower = 0; borrower < 8; ++borrower) {
    borrowers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        auto loan = pool.borrow(2, nullptr);
        if (!loan || loan->count() == 0) continue;
        const size_t now = lent += loan->count();
        for (size_t seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        loan->unit(0)[0] = std::byte{1};
        ++waits;
        lent -= loan->count();
      }
    });
  }
  for (auto& borrower : borrowers) borrower.join();
  CHECK(waits == 8 * 200);
  CHECK(most <= 3);
  CHECK(pool.peak() <= 3);
}

TEST_CASE("bounce pool: units are aligned and helpers get only what nobody waits for") {
  BouncePool pool(4 * BouncePool::kUnit);
  CHECK(pool.try_borrow(4).count() == 0);  // nothing is allocated before a transfer needs it
  auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  REQUIRE(loan->count() == 1);
  CHECK(reinterpret_cast<uintptr_t>(loan->unit(0).data()) % BouncePool::kUnit == 0);
  CHECK(pool.peak() == 1);
  CHECK(pool.try_borrow(4).count() == 1);
  CHECK(pool.peak() == 2);
}

TEST_CASE("bounce pool: transfers that hang leave units for those of others, and for single blocks") {
  BouncePool pool(16 * BouncePool::kUnit);
  const auto leader = pool.borrow(4, nullptr);
  REQUIRE(leader);
  const auto helper = pool.try_borrow(4);
  CHECK(helper.count() == 4);
  CHECK(pool.try_borrow(4).count() == 0);
  const auto second = pool.borrow(4, nullptr), third = pool.borrow(4, nullptr);
  REQUIRE((second && third));
  CHECK(second->count() == 4);
  CHECK(third->count() == 2);
  CancelToken cancel;
  std::thread waiting([&] { CHECK_FALSE(pool.borrow(4, &cancel)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(pool.borrow(1, nullptr)->count() == 1);
  cancel.cancel();
  waiting.join();
}

TEST_CASE("bounce pool: a cancel ends the wait, and who comes after is served") {
  BouncePool pool(BouncePool::kUnit);
  auto held = std::make_unique<BouncePool::Loan>(std::move(*pool.borrow(1, nullptr)));
  CancelToken cancel;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel.cancel();
  });
  const auto waited = pool.borrow(1, &cancel);
  canceller.join();
  REQUIRE(!waited);
  CHECK(waited.error().code == EINTR);
  held.reset();
  CHECK(pool.borrow(1, nullptr)->count() == 1);
}
