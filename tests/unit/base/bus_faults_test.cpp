// SPDX-License-Identifier: MIT
#include "dmabuffs/base/bus_faults.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "catch.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/base/unique_fd.h"

using namespace dmabuffs;

namespace {

constexpr size_t kPages = 4;

/// A mapping of kPages full of ones, of which the last two pages are taken away.
class Cut {
 public:
  Cut() {
    REQUIRE(::ftruncate(file_.get(), kPages * kPage) == 0);
    auto mapped = Mapping::of_file(file_.get(), 0, kPages * kPage, PROT_READ | PROT_WRITE);
    REQUIRE(mapped.has_value());
    mapping_ = std::move(*mapped);
    std::ranges::fill(bytes(), std::byte{1});
    REQUIRE(::ftruncate(file_.get(), 2 * kPage) == 0);
  }
  [[nodiscard]] std::span<std::byte> bytes() const { return mapping_.bytes(); }

 private:
  UniqueFd file_{::memfd_create("cut", MFD_CLOEXEC)};
  Mapping mapping_;
};

/// What a process that touches `byte` ends by.
int killed_by(const std::byte& byte) {
  const pid_t child = ::fork();
  if (child == 0) {
    (void)*const_cast<const volatile std::byte*>(&byte);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("memory that is taken away from under a guarded access reads zero, and that is told") {
  const Cut cut;
  std::atomic<bool> gone{false};
  const auto guard = BusFaultGuard::over(cut.bytes().subspan(100), gone);
  REQUIRE(guard.has_value());
  CHECK(cut.bytes()[2 * kPage - 1] == std::byte{1});
  CHECK_FALSE(gone);
  CHECK(std::ranges::all_of(cut.bytes().subspan(2 * kPage),
                            [](std::byte byte) { return byte == std::byte{}; }));
  CHECK(gone);
  CHECK(cut.bytes()[2 * kPage - 1] == std::byte{1});
}

TEST_CASE("SIGBUS outside of a guarded access, or after it, ends the process") {
  const Cut cut, guarded;
  std::atomic<bool> gone{false};
  {
    const auto guard = BusFaultGuard::over(guarded.bytes(), gone);
    REQUIRE(guard.has_value());
    CHECK(killed_by(guarded.bytes().back()) == 0);
    CHECK(killed_by(cut.bytes().back()) == SIGBUS);
  }
  CHECK(killed_by(guarded.bytes().back()) == SIGBUS);
  CHECK_FALSE(gone);  // it was in another process
}
