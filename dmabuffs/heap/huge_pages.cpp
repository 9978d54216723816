// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/huge_pages.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>

#include "dmabuffs/base/kernel_number.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/base/read_file.h"

namespace dmabuffs {
namespace {

uint64_t less(uint64_t whole, uint64_t part) {
  return whole > part ? whole - part : 0;
}

uint64_t count(const KernelNumber& number) {
  return number.read().value_or(0);
}

KernelNumber file_of(const std::string& sys, const char* name) {
  return KernelNumber(sys + "/kernel/mm/hugepages/hugepages-2048kB/" + name);
}

}  // namespace

HugePages::HugePages(const std::string& sys, const std::string& root)
    : set_aside_(file_of(sys, "nr_hugepages")),
      on_demand_(file_of(sys, "nr_overcommit_hugepages")),
      surplus_(file_of(sys, "surplus_hugepages")),
      free_(file_of(sys, "free_hugepages")),
      promised_(file_of(sys, "resv_hugepages")),
      cgroups_(root),
      transparent_(sys + "/kernel/mm/transparent_hugepage") {}

bool HugePages::configured() const {
  return count(set_aside_) > 0 || count(on_demand_) > 0;
}

uint64_t HugePages::pool_free() const {
  return less(count(free_), count(promised_)) * kHugePage;
}

uint64_t HugePages::available() const {
  const uint64_t on_demand = less(count(on_demand_), count(surplus_)) * kHugePage;
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

bool HugePages::in_memory_files() const {
  // What is chosen stands in brackets: "always within_size advise [never] deny force".
  const auto given = [](const std::string& directory) {
    const auto text = read_file(directory + "/shmem_enabled");
    return text &&
           std::ranges::any_of(std::array{"[always]", "[within_size]", "[advise]", "[force]"},
                               [&](const char* word) { return text->find(word) != std::string::npos; });
  };
  if (given(transparent_)) return true;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(transparent_, none))
    if (given(entry.path().string())) return true;  // hugepages-64kB and so on
  return false;
}

bool HugePages::by_collapse() const {
  const auto text = read_file(transparent_ + "/shmem_enabled");
  return text && text->find("[deny]") == std::string::npos;
}

uint64_t HugePages::overcommit_needed(uint64_t bytes) const {
  return count(on_demand_) + round_up(less(bytes, available()), kHugePage) / kHugePage;
}

}  // namespace dmabuffs
