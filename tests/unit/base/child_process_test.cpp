// SPDX-License-Identifier: MIT
#include "dmabuffs/base/child_process.h"

#include <unistd.h>

#include <csignal>

#include "catch.h"

using namespace dmabuffs;

TEST_CASE("an end that the kernel does not tell of is no success") {
  const auto status_of = [](int (*body)()) {
    auto child = ChildProcess::start(SIGKILL, body);
    REQUIRE(child);
    return shell_status(child->reap());
  };
  CHECK(status_of([] { return 7; }) == 7);
  CHECK(status_of([] { return 0; }) == 0);
  std::signal(SIGCHLD, SIG_IGN);
  const int status = status_of([] {
    ::usleep(500'000);  // or it is gone before it can be watched
    return 7;
  });
  std::signal(SIGCHLD, SIG_DFL);
  CHECK(status == 1);
}
