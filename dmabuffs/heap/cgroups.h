// SPDX-License-Identifier: MIT
/// Where the limits of the process's own cgroups are (cgroups(7), v2 and v1).
#pragma once
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

}  // namespace dmabuffs
