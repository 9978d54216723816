// SPDX-License-Identifier: MIT
// How large a udmabuf is made, and may be, by what the machine says; on machines without the device, too.
#include "dmabuffs/heap/udmabuf_heap.h"
#include "heap_support.h"

using namespace dmabuffs;
using namespace heap_test;

TEST_CASE("a udmabuf's capacity wastes at most 12.5 % on huge pages") {
  const TemporaryDirectory sys;
  sys.write("kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages", "100\n");
  Budget budget(generous());
  UdmabufSource source;
  source.huge_pages = HugePages(sys.path());
  source.size_limit_file = KernelNumber(sys.path() + "/size_limit_mb");
  const auto capacity = [&](uint64_t size) { return UdmabufHeap(budget, source).capacity_for(size); };
  CHECK(capacity(0) == 0);
  CHECK(capacity(1) == kPage);
  CHECK(capacity(kHugePage - 1) == kHugePage);
  CHECK(capacity(kHugePage - kPage) == kHugePage - kPage);
  CHECK(capacity(kHugePage + 1) == kHugePage + kPage);
  CHECK(capacity(15 * kMiB) == 16 * kMiB);
  CHECK(capacity(14 * kMiB + 1) == 14 * kMiB + kPage);
  CHECK(capacity(64 * kMiB + 1) == 66 * kMiB);
  SECTION("rounding up never reaches beyond the kernel's limit") {
    sys.write("size_limit_mb", "65\n");
    CHECK(capacity(64 * kMiB + 1) == 64 * kMiB + kPage);
  }
  SECTION("without huge pages, or if told so, it is whole 4 KiB pages") {
    source.huge = HugeUse::Never;
    CHECK(capacity(15 * kMiB) == 15 * kMiB);
    source.huge = HugeUse::Auto;
    sys.write("kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages", "0\n");
    CHECK(capacity(15 * kMiB) == 15 * kMiB);
  }
  SECTION("huge=always means whole huge pages for the smallest too") {
    source.huge = HugeUse::Always;
    CHECK(capacity(1) == kHugePage);
  }
}

TEST_CASE("a udmabuf beyond the kernel's limit is refused before anything is allocated, with the remedy") {
  const TemporaryDirectory sys;
  Budget budget(generous());
  UdmabufSource source;
  source.size_limit_file = KernelNumber(sys.path() + "/size_limit_mb");
  SECTION("a limit of 64 MiB") {
    sys.write("size_limit_mb", "64\n");
    CHECK(source.check_size(64 * kMiB));
    auto refused = UdmabufHeap(budget, source).create(64 * kMiB + 1, ::getuid());
    REQUIRE(!refused);
    CHECK(refused.error().code == EFBIG);
    CHECK(refused.error().message.find("echo 1024 > ") != std::string::npos);
    CHECK(refused.error().message.find("doctor --fix") != std::string::npos);
    CHECK(budget.used() == 0);
    CHECK(source.check_size(5 * kGiB).error().message.find("echo 5120 > ") != std::string::npos);
  }
  SECTION("INT_MAX, as 7.x has it, is no limit") {
    sys.write("size_limit_mb", "2147483647\n");
    CHECK(source.check_size(uint64_t{1} << 50));
  }
}
