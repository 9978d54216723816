// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/huge_pages.h"

#include <algorithm>
#include <limits>

#include "dmabuffs/base/range.h"
#include "dmabuffs/heap/kernel_number.h"

namespace dmabuffs {
namespace {

uint64_t less(uint64_t whole, uint64_t part) {
  return whole > part ? whole - part : 0;
}

}  // namespace

uint64_t HugePages::count(const char* file) const {
  return kernel_number(directory_ + file).value_or(0);
}

bool HugePages::configured() const {
  return count("nr_hugepages") > 0 || count("nr_overcommit_hugepages") > 0;
}

uint64_t HugePages::pool_free() const {
  return less(count("free_hugepages"), count("resv_hugepages")) * kHugePage;
}

uint64_t HugePages::available() const {
  const uint64_t on_demand = less(count("nr_overcommit_hugepages"), count("surplus_hugepages")) * kHugePage;
  return std::min(pool_free() + on_demand, cgroup_room());
}

uint64_t HugePages::cgroup_room() const {
  uint64_t room = std::numeric_limits<uint64_t>::max();
  for (const Cgroups::Chain& chain : cgroups_.chains("hugetlb")) {
    for (const std::string& directory : chain.directories) {
      const std::string files = directory + "/hugetlb.2MB.";
      const auto limit = kernel_number(files + (chain.unified ? "max" : "limit_in_bytes"));
      const auto used = kernel_number(files + (chain.unified ? "current" : "usage_in_bytes"));
      if (limit && used) room = std::min(room, round_down(less(*limit, *used), kHugePage));
    }
  }
  return room;
}

uint64_t HugePages::overcommit_needed(uint64_t bytes) const {
  return count("nr_overcommit_hugepages") + round_up(less(bytes, available()), kHugePage) / kHugePage;
}

}  // namespace dmabuffs
