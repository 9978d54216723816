// SPDX-License-Identifier: MIT
// The daemon's threads: pools that may get none from the system, and the one that waits for file locks.
#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>

#include "catch.h"
#include "dmabuffs/fs/blocking_pool.h"
#include "dmabuffs/fs/lock_waiters.h"

using namespace dmabuffs;
using namespace std::chrono_literals;

namespace {

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

int code(const Result<void>& result) {
  return result ? 0 : result.error().code;
}

/// A lock that somebody else holds, and what its waiters were answered.
struct HeldLock {
  std::atomic<bool> held{true}, interrupted{false};
  std::atomic<int> answers{0}, last{-1};

  LockWaiters::Waiter waiter() {
    return {[this]() -> Result<void> {
              if (held) return fail_errno(EAGAIN, "lock");
              return {};
            },
            [this] { return interrupted.load(); },
            [this](const Result<void>& done) {
              last = code(done);
              ++answers;
            }};
  }
};

}  // namespace

TEST_CASE("a pool that gets no thread runs the work on the caller's, once") {
  BlockingPool pool(4, at_most(0));
  std::atomic<int> runs{0};
  std::thread::id where;
  pool.run([&] {
    ++runs;
    where = std::this_thread::get_id();
  });
  CHECK(runs == 1);
  CHECK(where == std::this_thread::get_id());
  pool.stop();
  CHECK(runs == 1);
}

TEST_CASE("a pool that gets no further thread leaves the work to those it has, once") {
  BlockingPool pool(4, at_most(1));
  std::atomic<int> runs{0};
  std::atomic<bool> go{false};
  pool.run([&] {
    while (!go) std::this_thread::sleep_for(1ms);
  });
  for (int i = 0; i < 10; ++i) pool.run([&] { ++runs; });
  CHECK(runs == 0);
  go = true;
  CHECK(within(10s, [&] { return runs == 10; }));
  pool.stop();
  CHECK(runs == 10);
}

TEST_CASE("any number of lock waiters wait on one thread, and get the lock when it is free") {
  HeldLock lock;
  LockWaiters waiters;
  constexpr int kWaiters = 500;
  for (int i = 0; i < kWaiters; ++i) waiters.add(lock.waiter());
  CHECK(lock.answers == 0);
  lock.held = false;
  CHECK(within(10s, [&] { return lock.answers == kWaiters; }));
  CHECK(lock.last == 0);
}

TEST_CASE("a lock waiter that is interrupted gets EINTR, and so do all when the mount ends") {
  HeldLock one, other;
  LockWaiters waiters;
  waiters.add(one.waiter());
  waiters.add(other.waiter());
  one.interrupted = true;
  CHECK(within(10s, [&] { return one.answers == 1; }));
  CHECK(one.last == EINTR);
  CHECK(other.answers == 0);
  waiters.stop();
  CHECK(other.answers == 1);
  CHECK(other.last == EINTR);
  waiters.add(other.waiter());
  CHECK(other.answers == 2);
}

TEST_CASE("a lock that is free is given at once, one that can't be had is refused at once") {
  HeldLock lock;
  lock.held = false;
  LockWaiters waiters;
  waiters.add(lock.waiter());
  CHECK(lock.answers == 1);
  auto refused = lock.waiter();
  refused.attempt = []() -> Result<void> { return fail_errno(EBADF, "lock"); };
  waiters.add(std::move(refused));
  CHECK(lock.answers == 2);
  CHECK(lock.last == EBADF);
}
