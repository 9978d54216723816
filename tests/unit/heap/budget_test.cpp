// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/budget.h"

#include <sys/mman.h>

#include <chrono>
#include <thread>
#include <vector>

#include "catch.h"
#include "dmabuffs/base/unique_fd.h"
#include "heap_support.h"

using namespace dmabuffs;
using namespace heap_test;

namespace {

constexpr uid_t kOwner = 1000;
constexpr uid_t kOther = 1001;

/// A machine as /proc/meminfo and the cgroup file systems show it.
class FakeMachine {
 public:
  FakeMachine() { memory(16 * kGiB, 8 * kGiB); }
  void memory(uint64_t total, uint64_t available) const {
    root_.write("proc/meminfo", "MemTotal: " + std::to_string(total / 1024) +
                                    " kB\nMemFree: 1 kB\nMemAvailable: " + std::to_string(available / 1024) +
                                    " kB\n");
  }
  void cgroup2(const std::string& group) const {
    root_.write("proc/self/mountinfo",
                "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n");
    root_.write("proc/self/cgroup", "0::" + group + "\n");
  }
  void cgroup1(const std::string& group) const {
    root_.write("proc/self/mountinfo",
                "35 23 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                "36 23 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    root_.write("proc/self/cgroup", "5:cpu:/elsewhere\n4:memory:" + group + "\n");
  }
  void file(const std::string& name, uint64_t value) const {
    root_.write(name, std::to_string(value) + "\n");
  }
  void text(const std::string& name, const std::string& value) const { root_.write(name, value); }
  [[nodiscard]] MemoryGauge gauge() const { return MemoryGauge(root_.path()); }

 private:
  TemporaryDirectory root_;
};

bool mentions(const Error& error, const std::string& words) {
  return error.message.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a budget without a size is half of RAM") {
  const FakeMachine machine;
  Budget budget(Budget::Limits{}, machine.gauge());
  CHECK(budget.limit() == 8 * kGiB);
}

TEST_CASE("a reservation beyond the mount's size is ENOSPC and names -o size") {
  const FakeMachine machine;
  Budget budget({100 * kMiB, 0, kOwner}, machine.gauge());
  auto first = budget.reserve(kOwner, 60 * kMiB);
  REQUIRE(first);
  CHECK(budget.used() == 60 * kMiB);
  auto second = budget.reserve(kOwner, 41 * kMiB);
  REQUIRE(!second);
  CHECK(second.error().code == ENOSPC);
  CHECK(mentions(second.error(), "-o size="));
  CHECK(budget.used() == 60 * kMiB);
  CHECK(budget.reserve(kOwner, 40 * kMiB));
}

TEST_CASE("a reservation that goes gives its bytes back, once") {
  const FakeMachine machine;
  Budget budget({100 * kMiB, 0, kOwner}, machine.gauge());
  {
    auto first = budget.reserve(kOwner, 50 * kMiB);
    REQUIRE(first);
    Reservation moved = std::move(*first);
    Reservation assigned;
    assigned = std::move(moved);
    CHECK(assigned.bytes() == 50 * kMiB);
    CHECK(budget.used() == 50 * kMiB);
  }
  CHECK(budget.used() == 0);
}

TEST_CASE("a reservation grows and shrinks, and a refused growth changes nothing") {
  const FakeMachine machine;
  Budget budget({100 * kMiB, 0, kOwner}, machine.gauge());
  auto reservation = budget.reserve(kOwner, 10 * kMiB);
  REQUIRE(reservation);
  REQUIRE(reservation->resize(90 * kMiB));
  CHECK(budget.used() == 90 * kMiB);
  auto refused = reservation->resize(101 * kMiB);
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOSPC);
  CHECK(reservation->bytes() == 90 * kMiB);
  CHECK(budget.used() == 90 * kMiB);
  REQUIRE(reservation->resize(5 * kMiB));
  CHECK(budget.used() == 5 * kMiB);
}

TEST_CASE("every user but the mount's owner has a share") {
  const FakeMachine machine;
  Budget budget({100 * kMiB, 0, kOwner}, machine.gauge());
  auto others = budget.reserve(kOther, 50 * kMiB);
  REQUIRE(others);
  auto refused = budget.reserve(kOther, 1);
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOSPC);
  CHECK(mentions(refused.error(), "share of user 1001"));
  CHECK(budget.reserve(kOther + 1, 50 * kMiB));
  REQUIRE(others->resize(0));
  CHECK(budget.reserve(kOwner, 100 * kMiB));
}

TEST_CASE("memory that the machine lacks is ENOMEM, and a reserve is kept back") {
  const FakeMachine machine;
  machine.memory(4 * kGiB, 1 * kGiB);
  const uint64_t kept = MemoryGauge::reserve(4 * kGiB);
  Budget budget(generous(), machine.gauge());
  auto refused = budget.reserve(kOwner, kGiB - kept + 4096);
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOMEM);
  CHECK(mentions(refused.error(), "free memory"));
  CHECK(budget.reserve(kOwner, kGiB - kept));
}

TEST_CASE("the reserve is 2 % of RAM between 64 and 512 MiB") {
  CHECK(MemoryGauge::reserve(kGiB) == 64 * kMiB);
  CHECK(MemoryGauge::reserve(10 * kGiB) == 10 * kGiB / 50);
  CHECK(MemoryGauge::reserve(256 * kGiB) == 512 * kMiB);
}

TEST_CASE("huge pages that were set aside need no memory of the machine") {
  const FakeMachine machine;
  machine.memory(4 * kGiB, 100 * kMiB);
  Budget budget({2 * kGiB, 0, kOwner}, machine.gauge());
  CHECK(!budget.reserve(kOwner, kGiB));
  auto huge = budget.reserve(kOwner, kGiB, true);
  REQUIRE(huge);
  CHECK(budget.used() == kGiB);
  auto refused = huge->resize(3 * kGiB, true);
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOSPC);
}

TEST_CASE("memory promised to one buffer is not promised to the next before the first has its pages") {
  const FakeMachine machine;
  machine.memory(4 * kGiB, 1 * kGiB);
  Budget budget(generous(), machine.gauge());
  auto first = budget.reserve(kOwner, 600 * kMiB);
  REQUIRE(first);
  auto second = budget.reserve(kOwner, 600 * kMiB);
  REQUIRE(!second);
  CHECK(second.error().code == ENOMEM);
  SECTION("until it is settled: then the machine's own figures count it") {
    first->settle();
    CHECK(budget.reserve(kOwner, 600 * kMiB));
  }
  SECTION("until it is given back") {
    REQUIRE(first->resize(0));
    CHECK(budget.reserve(kOwner, 600 * kMiB));
  }
}

TEST_CASE("a watched memfd settles its reservation page by page") {
  const FakeMachine machine;
  machine.memory(kGiB, 100 * kMiB + MemoryGauge::reserve(kGiB));
  Budget budget(generous(), machine.gauge());
  const UniqueFd memfd(::memfd_create("budget-test", MFD_CLOEXEC));
  REQUIRE(memfd);
  REQUIRE(::ftruncate(memfd.get(), 80 * kMiB) == 0);
  auto filled = budget.reserve(kOwner, 0);
  REQUIRE(filled);
  filled->watch(memfd.get());
  REQUIRE(filled->resize(80 * kMiB));
  CHECK(!budget.reserve(kOwner, 60 * kMiB));
  const std::vector<char> bytes(40 * kMiB, 'x');
  REQUIRE(::pwrite(memfd.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  CHECK(budget.reserve(kOwner, 60 * kMiB));
  CHECK(!budget.reserve(kOwner, 61 * kMiB));
  REQUIRE(::pwrite(memfd.get(), bytes.data(), bytes.size(), 40 * kMiB) == static_cast<ssize_t>(bytes.size()));
  CHECK(budget.reserve(kOwner, 100 * kMiB));
  REQUIRE(filled->resize(90 * kMiB));
  CHECK(!budget.reserve(kOwner, 91 * kMiB));
}

TEST_CASE("a cgroup v2 limit counts, its page cache does not") {
  const FakeMachine machine;
  machine.cgroup2("/a.slice/b.service");
  const std::string group = "sys/fs/cgroup/a.slice/b.service/";
  machine.file(group + "memory.max", 500 * kMiB);
  machine.file(group + "memory.current", 450 * kMiB);
  machine.text(group + "memory.stat", "anon 1000\ninactive_file " + std::to_string(100 * kMiB) +
                                          "\nactive_file " + std::to_string(50 * kMiB) + "\n");
  Budget budget(generous(), machine.gauge());
  // A tenth of it, 50 MiB, is kept back.
  auto refused = budget.reserve(kOwner, 151 * kMiB);
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOMEM);
  CHECK(mentions(refused.error(), "b.service/memory.max"));
  CHECK(mentions(refused.error(), "MemoryMax="));
  CHECK(budget.reserve(kOwner, 150 * kMiB));
}

TEST_CASE("of a cgroup's limit a tenth is kept back, within bounds") {
  CHECK(MemoryGauge::group_reserve(32 * kMiB) == 8 * kMiB);
  CHECK(MemoryGauge::group_reserve(100 * kMiB) == 16 * kMiB);
  CHECK(MemoryGauge::group_reserve(500 * kMiB) == 50 * kMiB);
  CHECK(MemoryGauge::group_reserve(uint64_t{64} << 30) == 128 * kMiB);
}

TEST_CASE("the tightest ancestor of the cgroup counts") {
  const FakeMachine machine;
  machine.cgroup2("/a.slice/b.service");
  machine.text("sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
  machine.file("sys/fs/cgroup/a.slice/b.service/memory.current", 0);
  machine.file("sys/fs/cgroup/a.slice/memory.max", 300 * kMiB);
  machine.file("sys/fs/cgroup/a.slice/memory.current", 100 * kMiB);
  const MemoryRoom room = machine.gauge().room();
  CHECK(room.bytes == 170 * kMiB);
  CHECK(room.why.find("a.slice/memory.max") != std::string::npos);
}

TEST_CASE("a cgroup v1 limit counts") {
  const FakeMachine machine;
  machine.cgroup1("/docker/abc");
  machine.file("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", 300 * kMiB);
  machine.file("sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", 100 * kMiB);
  machine.text("sys/fs/cgroup/memory/docker/abc/memory.stat",
               "total_inactive_file " + std::to_string(30 * kMiB) + "\n");
  CHECK(machine.gauge().room().bytes == 200 * kMiB);
}

TEST_CASE("inside a container, where the cgroup's own directory is the mounted one, its limit is found") {
  const FakeMachine machine;
  machine.cgroup1("/docker/abc");
  machine.text("proc/self/mountinfo",
               "36 23 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  machine.file("sys/fs/cgroup/memory/memory.limit_in_bytes", 300 * kMiB);
  machine.file("sys/fs/cgroup/memory/memory.usage_in_bytes", 100 * kMiB);
  CHECK(machine.gauge().room().bytes == 170 * kMiB);
}

TEST_CASE("before a refusal the relief is asked, and if it freed something the reservation is made") {
  const FakeMachine machine;
  Budget budget({100 * kMiB, 0, kOwner}, machine.gauge());
  auto spare = budget.reserve(kOwner, 80 * kMiB);
  REQUIRE(spare);
  int asked = 0;
  budget.set_relief([&] {
    ++asked;
    const bool something = spare->bytes() > 0;
    (void)spare->resize(0);
    return something;
  });
  auto wanted = budget.reserve(kOwner, 50 * kMiB);
  CHECK(wanted);
  CHECK(asked == 1);
  CHECK(!budget.reserve(kOwner, 60 * kMiB));
  CHECK(asked == 2);
}

TEST_CASE("small reservations don't read the machine's figures each time, but see them soon") {
  const FakeMachine machine;
  Budget budget(generous(), machine.gauge());
  std::vector<Reservation> kept;
  kept.push_back(budget.reserve(kOwner, 4096).value());
  machine.memory(16 * kGiB, 0);
  // Each within the 100 ms that a reading lasts, unless the machine stalls: then it is refused, which is
  // right too.
  const auto start = std::chrono::steady_clock::now();
  auto cached = budget.reserve(kOwner, 4096);
  if (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(50)) CHECK(cached);
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  CHECK(!budget.reserve(kOwner, 4096));
}

TEST_CASE("threads that reserve at once never get more than there is") {
  const FakeMachine machine;
  Budget budget({64 * kMiB, 0, kOwner}, machine.gauge());
  std::vector<std::vector<Reservation>> got(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : got) {
      threads.emplace_back([&budget, &mine] {
        for (int i = 0; i < 40; ++i)
          if (auto one = budget.reserve(kOwner, kMiB)) mine.push_back(std::move(*one));
      });
    }
  }
  size_t total = 0;
  for (const auto& mine : got) total += mine.size();
  CHECK(total == 64);
  got.clear();
  CHECK(budget.used() == 0);
}

TEST_CASE("this machine's own figures can be read") {
  const MemoryGauge gauge;
  CHECK(gauge.ram() > 64 * kMiB);
  CHECK(gauge.room().bytes < gauge.ram());
  CHECK(!gauge.room().why.empty());
}

TEST_CASE("what a reservation grew by and gave up again is no longer expected to be filled") {
  const FakeMachine machine;
  Budget budget({64 * kGiB, 0, kOwner}, machine.gauge());
  auto reservation = budget.reserve(kOwner, kGiB);
  REQUIRE(reservation);
  reservation->settle();
  REQUIRE(reservation->resize(5 * kGiB));
  REQUIRE(reservation->resize(kGiB));
  CHECK(budget.reserve(kOwner, machine.gauge().room().bytes));
}

TEST_CASE("a cgroup beside the mounted one, whose name begins alike, is not looked for in it") {
  const FakeMachine machine;
  machine.cgroup1("/docker/abcdef/x");
  machine.text("proc/self/mountinfo",
               "36 23 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  machine.file("sys/fs/cgroup/memory/memory.limit_in_bytes", 300 * kMiB);
  machine.file("sys/fs/cgroup/memory/memory.usage_in_bytes", 100 * kMiB);
  CHECK(machine.gauge().room().bytes == 170 * kMiB);
}

TEST_CASE("a cgroup whose name begins with two dots is one like others") {
  const FakeMachine machine;
  machine.cgroup2("/..hidden");
  machine.file("sys/fs/cgroup/..hidden/memory.max", 300 * kMiB);
  machine.file("sys/fs/cgroup/..hidden/memory.current", 100 * kMiB);
  CHECK(machine.gauge().room().bytes == 170 * kMiB);
}
