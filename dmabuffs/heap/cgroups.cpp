// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/cgroups.h"

#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

namespace dmabuffs {
namespace {

bool lists(const std::string& comma_separated, const std::string& word) {
  return (',' + comma_separated + ',').find(',' + word + ',') != std::string::npos;
}

/// What of `path` lies below `directory`, itself without a '/' at its end; nothing when it lies elsewhere.
std::optional<std::string> below(const std::string& directory, const std::string& path) {
  const bool inside =
      path.rfind(directory, 0) == 0 && (path.size() == directory.size() || path[directory.size()] == '/');
  return inside ? std::optional(path.substr(directory.size())) : std::nullopt;
}

}  // namespace

Cgroups::Cgroups(const std::string& root) : proc_(root + "/proc") {
  // proc_pid_mountinfo(5): ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [FIELD...] - TYPE SOURCE
  // SUPER-OPTIONS
  std::ifstream mounts(proc_ + "/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string skipped, mounted, mountpoint, word, type, source, options;
    words >> skipped >> skipped >> skipped >> mounted >> mountpoint;
    while (words >> word && word != "-") {
    }
    words >> type >> source >> options;
    if (type == "cgroup2") hierarchies_.push_back({root + mountpoint, mounted, true, {}});
    if (type == "cgroup") hierarchies_.push_back({root + mountpoint, mounted, false, options});
  }
}

std::vector<Cgroups::Chain> Cgroups::chains(const std::string& controller) const {
  std::vector<Chain> found;
  for (const Hierarchy& hierarchy : hierarchies_) {
    if (!hierarchy.unified && !lists(hierarchy.controllers, controller)) continue;
    Chain chain{hierarchy.unified, {}};
    std::string group = own_group(hierarchy, controller);
    for (; !group.empty(); group.erase(group.rfind('/')))
      chain.directories.push_back(hierarchy.mountpoint + group);
    chain.directories.push_back(hierarchy.mountpoint);
    found.push_back(std::move(chain));
  }
  return found;
}

/// The process's group relative to the mount point: "" or "/a/b".
std::string Cgroups::own_group(const Hierarchy& hierarchy, const std::string& controller) const {
  // /proc/PID/cgroup: ID:CONTROLLERS:PATH, no controllers for v2
  std::ifstream groups(proc_ + "/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (hierarchy.unified ? !controllers.empty() : !lists(controllers, controller)) continue;
    const std::string path = line.substr(second + 1);
    // A group outside of what is mounted, or of the cgroup namespace ("/.."), can't be found: then only the
    // mounted root is looked at.
    if (path == "/" || below("/..", path)) return {};
    return below(hierarchy.mounted == "/" ? "" : hierarchy.mounted, path).value_or("");
  }
  return {};
}

}  // namespace dmabuffs
