// SPDX-License-Identifier: MIT
// The daemon's threads: pools that may get none from the system, that all users share, and who must not wait.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "catch.h"
#include "dmabuffs/fuse/blocking_pool.h"
#include "dmabuffs/tree/mount.h"

using namespace dmabuffs;
using namespace std::chrono_literals;

namespace {

constexpr uid_t kOwner = 0;

/// Gives `there` threads and no more.
BlockingPool::Start at_most(unsigned there) {
  return [there](std::vector<std::thread>& threads, std::function<void()> loop) {
    if (threads.size() >= there) throw std::system_error(EAGAIN, std::generic_category());
    threads.emplace_back(std::move(loop));
  };
}

bool within(std::chrono::milliseconds limit, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  return done();
}

}  // namespace

TEST_CASE("a pool that gets no thread runs the work on the caller's, once") {
  BlockingPool pool({.threads = 4}, at_most(0));
  std::atomic<int> runs{0};
  std::thread::id where;
  pool.run(kOwner, [&] {
    ++runs;
    where = std::this_thread::get_id();
  });
  CHECK(runs == 1);
  CHECK(where == std::this_thread::get_id());
  pool.stop();
  CHECK(runs == 1);
}

TEST_CASE("a pool that gets no further thread leaves the work to those it has, once") {
  BlockingPool pool({.threads = 4}, at_most(1));
  std::atomic<int> runs{0};
  std::atomic<bool> go{false};
  pool.run(kOwner, [&] {
    while (!go) std::this_thread::sleep_for(1ms);
  });
  for (int i = 0; i < 10; ++i) pool.run(kOwner, [&] { ++runs; });
  CHECK(runs == 0);
  go = true;
  CHECK(within(10s, [&] { return runs == 10; }));
  pool.stop();
  CHECK(runs == 10);
}

namespace {

/// Work that stays until it is let go, counted by user.
struct Held {
  std::mutex mutex;
  std::map<uid_t, unsigned> running, most;
  std::atomic<bool> go{false};
  std::atomic<int> done{0};

  std::function<void()> work(uid_t user) {
    return [this, user] {
      {
        const std::lock_guard lock(mutex);
        most[user] = std::max(most[user], ++running[user]);
      }
      while (!go) std::this_thread::sleep_for(1ms);
      const std::lock_guard lock(mutex);
      --running[user];
      ++done;
    };
  }
  unsigned running_of(uid_t user) {
    const std::lock_guard lock(mutex);
    return running[user];
  }
};

}  // namespace

TEST_CASE("work of one user never fills a pool: other users, the owner and the daemon get their threads") {
  Held held;
  BlockingPool pool({.threads = 16, .owner = kOwner, .kept = 2});
  const std::vector<uid_t> users{1000, 1001, 1002, 1003};
  for (const uid_t user : users)
    for (int i = 0; i < 50; ++i) REQUIRE(pool.run(user, held.work(user)));
  // All strangers together leave the owner a quarter.
  const auto running = [&] {
    unsigned sum = 0;
    for (const uid_t user : users) sum += held.running_of(user);
    return sum;
  };
  CHECK(within(20s, [&] { return running() == 12; }));
  std::atomic<int> others{0};
  for (int i = 0; i < 50; ++i) pool.run(kOwner, held.work(kOwner));
  pool.run(BlockingPool::kDaemon, [&] { ++others; });
  CHECK(within(20s, [&] { return others == 1 && held.running_of(kOwner) == 2; }));
  held.go = true;
  CHECK(within(20s, [&] { return held.done == 250; }));
  for (const uid_t user : users) CHECK(held.most[user] <= 4);
}

TEST_CASE("work for later takes no thread until then, and is done when the pool ends") {
  std::atomic<int> early{0}, late{0}, other{0}, running{0};
  BlockingPool pool({.threads = 4, .owner = kOwner});
  for (int i = 0; i < 4; ++i)  // so that all of its threads wait for what comes
    pool.run(kOwner, [&] {
      for (++running; running < 4;) std::this_thread::sleep_for(1ms);
    });
  REQUIRE(within(10s, [&] { return running == 4; }));
  for (int i = 0; i < 100; ++i) {
    REQUIRE(pool.run_later(
        1000, [&] { ++early; }, 50ms));
    REQUIRE(pool.run_later(
        1000, [&] { ++late; }, 1h));
  }
  CHECK(early == 0);
  pool.run(1000, [&] { ++other; });
  CHECK(within(10s, [&] { return early == 100; }));
  CHECK(other == 1);
  CHECK(late == 0);
  pool.stop();
  CHECK(late == 100);
  CHECK_FALSE(pool.run_later(
      1000, [] {}, 0ms));
}

TEST_CASE("queued work of several users takes turns") {
  BlockingPool pool({.threads = 1, .owner = kOwner});
  std::atomic<bool> go{false};
  pool.run(kOwner, [&] {
    while (!go) std::this_thread::sleep_for(1ms);
  });
  std::mutex mutex;
  std::vector<uid_t> order;
  const auto note = [&](uid_t user) {
    return [&, user] {
      const std::lock_guard lock(mutex);
      order.push_back(user);
    };
  };
  for (int i = 0; i < 100; ++i) pool.run(1000, note(1000));
  pool.run(1001, note(1001));
  go = true;
  pool.stop();
  REQUIRE(order.size() == 101);
  CHECK(std::ranges::find(order, uid_t{1001}) - order.begin() <= 2);
}

TEST_CASE("a user may queue only so much work that holds memory") {
  BlockingPool pool({.threads = 1, .owner = kOwner}, at_most(1));
  std::atomic<bool> go{false};
  pool.run(kOwner, [&] {
    while (!go) std::this_thread::sleep_for(1ms);
  });
  int taken = 0;
  for (int i = 0; i < 10; ++i)
    taken += pool.run(
        1000, [] {}, 3);
  CHECK(taken == 3);
  CHECK(pool.run(1000, [] {}));
  for (int i = 0; i < 10; ++i) CHECK(pool.run(1002, [] {}));  // which holds none, and is in nobody's way
  CHECK(pool.run(
      1002, [] {}, 3));
  CHECK(pool.run(
      1001, [] {}, 3));
  go = true;
}

TEST_CASE("a pool outlives what its work throws") {
  BlockingPool pool({.threads = 1, .owner = kOwner});
  pool.run(kOwner, [] { throw std::bad_alloc(); });
  pool.run(kOwner, [] { throw 1; });
  std::atomic<bool> ran{false};
  pool.run(kOwner, [&] { ran = true; });
  CHECK(within(20s, [&] { return ran.load(); }));
}

TEST_CASE("a thread that must not wait for memory puts that off, and says so") {
  Freeing freeing;
  {
    const MustNotWait here;
    CHECK_FALSE(freeing.wait(10s));
    CHECK_FALSE(MustNotWait::was_put_off());  // there was nothing to wait for
  }
  const auto token = freeing.begin();
  {
    const MustNotWait here;
    CHECK_FALSE(freeing.wait(10s));
    CHECK(MustNotWait::was_put_off());
    CHECK_FALSE(MustNotWait::was_put_off());
  }
  CHECK_FALSE(freeing.wait(1ms));
  CHECK_FALSE(MustNotWait::was_put_off());
}

TEST_CASE("of the threads that take requests one user has one for what may wait, all users together half") {
  Seats seats;
  const auto first = seats.take(1);
  CHECK(first);
  CHECK_FALSE(seats.take(1));
  auto second = seats.take(2), third = seats.take(3), fourth = seats.take(4);
  CHECK((second && third && fourth));
  CHECK_FALSE(seats.take(5));
  second.reset();
  CHECK(seats.take(5));
}
