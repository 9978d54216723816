// SPDX-License-Identifier: MIT
// Which opens get a backing file: all of a node or none, whatever fails meanwhile.
#include <set>

#include "catch.h"
#include "dmabuffs/tree/passthrough.h"

using namespace dmabuffs;

namespace {

/// The kernel's side: gives numbers until it is told to refuse.
struct Kernel {
  int refuses = 0;  ///< this errno
  int next = 1;
  std::set<int> open;

  Passthrough::Kernel calls() {
    return {[this](int) -> Result<int> {
              if (refuses != 0) return fail_errno(refuses, "backing");
              open.insert(next);
              return next++;
            },
            [this](int id) { open.erase(id); }};
  }
};

constexpr int kFile = 5;

}  // namespace

TEST_CASE("without the kernel's consent no open has passthrough") {
  Passthrough passthrough;
  CHECK(passthrough.acquire(10, kFile) == 0);
}

TEST_CASE("whether it is possible is asked of the kernel once, where no open has done so") {
  Kernel kernel;
  Passthrough passthrough;
  CHECK(!passthrough.possible());
  passthrough.enable(kernel.calls());
  SECTION("it is") {
    CHECK(passthrough.possible());
    CHECK(kernel.open.empty());
    CHECK(passthrough.possible());
    CHECK(kernel.next == 2);
  }
  SECTION("it is not: before the first open, too") {
    kernel.refuses = EPERM;
    CHECK(passthrough.enabled());
    CHECK(!passthrough.possible());
    CHECK(!passthrough.enabled());
    CHECK(passthrough.acquire(10, kFile) == 0);
  }
  SECTION("an open has asked") {
    CHECK(passthrough.acquire(10, kFile) == 1);
    CHECK(passthrough.possible());
    CHECK(kernel.next == 2);
  }
}

TEST_CASE("all opens of a node share one backing file, which goes with the last") {
  Kernel kernel;
  Passthrough passthrough;
  passthrough.enable(kernel.calls());
  CHECK(passthrough.acquire(10, kFile) == 1);
  CHECK(passthrough.acquire(10, kFile) == 1);
  CHECK(passthrough.acquire(11, kFile) == 2);
  passthrough.release(10);
  CHECK(kernel.open == std::set{1, 2});
  passthrough.release(10);
  CHECK(kernel.open == std::set{2});
  CHECK(passthrough.acquire(10, kFile) == 3);
}

TEST_CASE("a backing file that fails costs that open its passthrough, and no other") {
  Kernel kernel;
  Passthrough passthrough;
  passthrough.enable(kernel.calls());
  CHECK(passthrough.acquire(10, kFile) == 1);
  kernel.refuses = ELOOP;
  CHECK(passthrough.acquire(11, kFile) == 0);
  CHECK(passthrough.enabled());
  kernel.refuses = 0;
  CHECK(passthrough.acquire(12, kFile) == 2);
}

TEST_CASE("when passthrough ends for the mount, a node that has a backing file keeps it for every open") {
  Kernel kernel;
  Passthrough passthrough;
  passthrough.enable(kernel.calls());
  CHECK(passthrough.acquire(10, kFile) == 1);
  kernel.refuses = EPERM;
  CHECK(passthrough.acquire(11, kFile) == 0);
  CHECK_FALSE(passthrough.enabled());
  // The kernel answers EIO to an open without the backing beside one with it.
  CHECK(passthrough.acquire(10, kFile) == 1);
  CHECK(passthrough.acquire(10, -1) == 1);
  CHECK(passthrough.acquire(12, kFile) == 0);
  for (int i = 0; i < 3; ++i) passthrough.release(10);
  CHECK(kernel.open.empty());
  CHECK(passthrough.acquire(10, kFile) == 0);
}
