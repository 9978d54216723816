// SPDX-License-Identifier: MIT
#include <poll.h>

#include <cerrno>
#include <thread>

#include "catch.h"
#include "dmabuffs/base/cancel.h"
#include "dmabuffs/transfer/file_systems.h"

using namespace dmabuffs;

TEST_CASE("a cancelled token ends a system call, also one that begins later") {
  CancelToken token;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    token.cancel();
  });
  const ThreadInterrupt interrupt(&token);
  CHECK(::poll(nullptr, 0, 60'000) == -1);
  CHECK(errno == EINTR);
  CHECK(::poll(nullptr, 0, 60'000) == -1);
  CHECK(errno == EINTR);
  canceller.join();
}

TEST_CASE("without a token, or after its life, nothing is interrupted") {
  const ThreadInterrupt none(nullptr);
  CancelToken token;
  token.cancel();
  { const ThreadInterrupt over(&token); }
  CHECK(::poll(nullptr, 0, 200) == 0);
}

TEST_CASE("what was slow is not expected soon, what nobody knows is") {
  Rates rates;
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  CHECK(rates.soon(1, 256 * kMiB));
  rates.note(1, 10 * kMiB, 1.0);
  CHECK(rates.soon(1, 20 * kMiB));
  CHECK_FALSE(rates.soon(1, 21 * kMiB));
  CHECK(rates.soon(2, 256 * kMiB));
  rates.note(1, 1000, 0.5);  // says nothing
  CHECK_FALSE(rates.soon(1, 21 * kMiB));
  rates.note(1, 256 * kMiB, 0.5);
  CHECK(rates.soon(1, 256 * kMiB));
}
