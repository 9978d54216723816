// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/memory_gauge.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "dmabuffs/base/kernel_number.h"
#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/base/read_file.h"
#include "dmabuffs/heap/message.h"

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
  for (const MountEntry& mount : parse_mount_table(read_file(proc_ + "/self/mountinfo").value_or(""))) {
    if (mount.type == "cgroup2") hierarchies_.push_back({root + mount.path, mount.root, true, {}});
    if (mount.type == "cgroup") hierarchies_.push_back({root + mount.path, mount.root, false, mount.options});
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

namespace {

/// Sum of the values of `keys` in a file of "key value" lines (a colon after the key is ignored); nothing
/// when it can't be read.
std::optional<uint64_t> sum_of(const std::string& path, std::initializer_list<std::string_view> keys) {
  std::ifstream file(path);
  if (!file) return {};
  uint64_t sum = 0;
  for (std::string line; std::getline(file, line);) {
    const std::string_view key = std::string_view(line).substr(0, line.find_first_of(": "));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) continue;
    const size_t number = line.find_first_of("0123456789", key.size());
    if (number != std::string::npos) sum += std::strtoull(&line[number], nullptr, 10);
  }
  return sum;
}

}  // namespace

MemoryGauge::MemoryGauge(const std::string& root)
    : meminfo_(root + "/proc/meminfo"),
      ram_(sum_of(meminfo_, {"MemTotal"}).value_or(0) * 1024),
      cgroups_(root) {}

uint64_t MemoryGauge::reserve(uint64_t ram) {
  return std::clamp(ram / 50, 64 * kMiB, 512 * kMiB);
}

uint64_t MemoryGauge::group_reserve(uint64_t limit) {
  return std::clamp(limit / 10, std::min(limit / 4, 16 * kMiB), 128 * kMiB);
}

MemoryRoom MemoryGauge::room() const {
  MemoryRoom room{std::numeric_limits<uint64_t>::max(), {}, {}};
  // Without a descriptor to ask with nothing is known, and the allocation will say what is short.
  if (const auto found = sum_of(meminfo_, {"MemAvailable"}); ram_ > 0 && found) {
    const uint64_t available = *found * 1024;
    const uint64_t kept = reserve(ram_);
    room = {available - std::min(kept, available),
            "the machine has " + size_text(available) + " available and " + size_text(kept) +
                " of that is kept back",
            "free memory or remove buffers"};
  }
  for (const Cgroups::Chain& chain : cgroups_.chains("memory"))
    for (const std::string& directory : chain.directories) lower_to_group(room, directory, chain.unified);
  return room;
}

void MemoryGauge::lower_to_group(MemoryRoom& room, const std::string& directory, bool v2) {
  const std::string limit_file = directory + (v2 ? "/memory.max" : "/memory.limit_in_bytes");
  const auto limit = kernel_number(limit_file);
  const auto used = kernel_number(directory + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
  if (!limit || !used) return;
  const uint64_t kept = group_reserve(*limit);
  if (*limit >= *used + kept && *limit - *used - kept >= room.bytes) return;
  // Page cache is given up when the limit is reached, so it is as good as free. Read last: the kernel has to
  // add it up.
  const std::string statistics = directory + "/memory.stat";
  const auto found = v2 ? sum_of(statistics, {"inactive_file", "active_file", "slab_reclaimable"})
                        : sum_of(statistics, {"total_inactive_file", "total_active_file"});
  const uint64_t cache = found.value_or(0);
  const uint64_t held = *used - std::min(cache, *used);
  const uint64_t left = *limit - std::min(held + kept, *limit);
  if (left >= room.bytes) return;
  room = {left,
          "the limit " + limit_file + " is " + size_text(*limit) + ", " + size_text(held) + " in use and " +
              size_text(kept) + " kept back",
          std::string("raise ") + (v2 ? "memory.max (systemd: MemoryMax=)" : "memory.limit_in_bytes") +
              " or free memory in that cgroup"};
}

}  // namespace dmabuffs
