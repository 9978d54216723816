// SPDX-License-Identifier: MIT
// The daemon's threads: pools that may get none from the system.
#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>

#include "catch.h"
#include "dmabuffs/fs/blocking_pool.h"

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
