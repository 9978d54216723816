// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/huge_pages.h"

#include "heap_support.h"

using namespace dmabuffs;
using namespace heap_test;

TEST_CASE("huge pages are counted from what sysfs says") {
  const TemporaryDirectory sys;
  const HugePages none(sys.path());
  CHECK(!none.configured());
  CHECK(none.available() == 0);
  const std::string directory = "kernel/mm/hugepages/hugepages-2048kB/";
  for (const auto& [file, value] :
       std::initializer_list<std::pair<const char*, int>>{{"nr_hugepages", 12},
                                                          {"free_hugepages", 10},
                                                          {"resv_hugepages", 3},
                                                          {"nr_overcommit_hugepages", 20},
                                                          {"surplus_hugepages", 5}})
    sys.write(directory + file, std::to_string(value) + "\n");
  const HugePages pages(sys.path());
  CHECK(pages.configured());
  CHECK(pages.pool_free() == 7 * kHugePage);
  CHECK(pages.available() == 22 * kHugePage);
  CHECK(pages.overcommit_needed(22 * kHugePage) == 20);
  CHECK(pages.overcommit_needed(25 * kHugePage) == 23);
}

TEST_CASE("a cgroup's hugetlb limit bounds the huge pages that can be had") {
  const TemporaryDirectory root;
  root.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages", "100\n");
  root.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  root.write("proc/self/cgroup", "0::/pod/container\n");
  const HugePages pages(root.path() + "/sys", root.path());
  CHECK(pages.available() == 100 * kHugePage);
  root.write("sys/fs/cgroup/pod/container/hugetlb.2MB.max", "max\n");
  root.write("sys/fs/cgroup/pod/container/hugetlb.2MB.current", "0\n");
  root.write("sys/fs/cgroup/pod/hugetlb.2MB.max", std::to_string(10 * kHugePage) + "\n");
  root.write("sys/fs/cgroup/pod/hugetlb.2MB.current", std::to_string(3 * kHugePage) + "\n");
  CHECK(pages.available() == 7 * kHugePage);
}

TEST_CASE("memory files have huge pages where the kernel says so, of whatever size") {
  const TemporaryDirectory sys;
  const HugePages pages(sys.path());
  CHECK_FALSE(pages.in_memory_files());
  const std::string directory = "kernel/mm/transparent_hugepage/";
  sys.write(directory + "shmem_enabled", "always within_size advise [never] deny force\n");
  CHECK_FALSE(pages.in_memory_files());
  sys.write(directory + "shmem_enabled", "always within_size [advise] never deny force\n");
  CHECK(pages.in_memory_files());
  sys.write(directory + "shmem_enabled", "always within_size advise never [deny] force\n");
  sys.write(directory + "hugepages-64kB/shmem_enabled", "always [inherit] within_size advise never\n");
  CHECK_FALSE(pages.in_memory_files());
  sys.write(directory + "hugepages-64kB/shmem_enabled", "[always] inherit within_size advise never\n");
  CHECK(pages.in_memory_files());
}
