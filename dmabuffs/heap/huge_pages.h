// SPDX-License-Identifier: MIT
/// The machine's huge pages: those of 2 MiB that are set aside (hugetlb), and those that memory files have.
#pragma once
#include <cstdint>
#include <string>

#include "dmabuffs/base/kernel_number.h"
#include "dmabuffs/heap/memory_gauge.h"

namespace dmabuffs {

/// Reads /sys/kernel/mm/hugepages/hugepages-2048kB and /sys/kernel/mm/transparent_hugepage anew at each call;
/// see Documentation/admin-guide/mm/hugetlbpage.rst and transhuge.rst.
class HugePages {
 public:
  /// `sys`: where sysfs is mounted. `root` stands before /proc and the cgroups' mount points (for tests).
  explicit HugePages(const std::string& sys = "/sys", const std::string& root = {});

  /// True where the administrator set huge pages aside or allows them on demand, used up or not.
  [[nodiscard]] bool configured() const;
  /// Bytes set aside and neither used nor promised to anyone.
  [[nodiscard]] uint64_t pool_free() const;
  /// Bytes that can be had: pool_free() and what may be taken from ordinary memory on demand (overcommit), as
  /// far as the hugetlb limits of the process's cgroups allow. Those strike at a page's first touch, with
  /// SIGBUS.
  [[nodiscard]] uint64_t available() const;
  /// vm.nr_overcommit_hugepages that would make `bytes` available.
  [[nodiscard]] uint64_t overcommit_needed(uint64_t bytes) const;
  /// Whether a memfd gets pages larger than 4 KiB, for the asking or unasked; no reserve is needed for those.
  [[nodiscard]] bool in_memory_files() const;
  /// Whether a memfd may be made of them by MADV_COLLAPSE: make_huge() (heap/memfd_heap.h).
  [[nodiscard]] bool by_collapse() const;

 private:
  [[nodiscard]] uint64_t cgroup_room() const;
  KernelNumber set_aside_, on_demand_, surplus_, free_, promised_;
  Cgroups cgroups_;
  std::string transparent_;  // the directory
};

}  // namespace dmabuffs
