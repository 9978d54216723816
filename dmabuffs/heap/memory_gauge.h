// SPDX-License-Identifier: MIT
/// Where the limits of the process's own cgroups are (cgroups(7), v2 and v1).
/// What memory the machine and the daemon's cgroup can still give.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace dmabuffs {

class Cgroups {
 public:
  /// The process's group and its ancestors in one hierarchy, innermost first, as directories.
  struct Chain {
    bool unified = true;  ///< cgroup v2; v1 names its files differently
    std::vector<std::string> directories;
  };

  /// `root` stands before /proc and the mount points (for tests). Mount points are read once.
  explicit Cgroups(const std::string& root = {});
  /// The hierarchies in which `controller` ("memory", "hugetlb") may limit the process, read anew.
  [[nodiscard]] std::vector<Chain> chains(const std::string& controller) const;

 private:
  struct Hierarchy {
    std::string mountpoint;
    std::string mounted;  // which of its directories is mounted there ("/" but for some containers)
    bool unified = true;
    std::string controllers;  // of v1, comma-separated
  };
  [[nodiscard]] std::string own_group(const Hierarchy& hierarchy, const std::string& controller) const;

  std::string proc_;
  std::vector<Hierarchy> hierarchies_;
};

/// The least of all limits, and which one it is.
struct MemoryRoom {
  uint64_t bytes = 0;  ///< what may still be allocated
  std::string why;     ///< the limit that leaves no more, with its figures
  std::string remedy;
};

class MemoryGauge {
 public:
  /// `root` stands before /proc and /sys (for tests).
  explicit MemoryGauge(const std::string& root = {});

  /// Bytes of RAM (MemTotal); 0 if /proc/meminfo can't be read.
  [[nodiscard]] uint64_t ram() const { return ram_; }
  /// MemAvailable less reserve(), and for the daemon's cgroup and each of its ancestors the limit less
  /// group_reserve() and what is used, where page cache that can be reclaimed counts as free (cgroup v2
  /// memory.max/current, v1 memory.limit_in_bytes/ usage_in_bytes). What can't be read doesn't limit.
  [[nodiscard]] MemoryRoom room() const;
  /// Kept back for everyone else: 2 % of RAM, at least 64 MiB, at most 512 MiB.
  [[nodiscard]] static uint64_t reserve(uint64_t ram);
  /// Kept back of a cgroup's limit, for what the daemon and the kernel need on the way (request buffers, page
  /// tables): a tenth, at least 16 MiB (but not more than a quarter), at most 128 MiB.
  [[nodiscard]] static uint64_t group_reserve(uint64_t limit);

 private:
  static void lower_to_group(MemoryRoom& room, const std::string& directory, bool v2);

  std::string meminfo_;
  uint64_t ram_;
  Cgroups cgroups_;
};

}  // namespace dmabuffs
