// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/mount/holders.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace dmabuffs::cli {
namespace {

namespace fs = std::filesystem;

/// What /proc/PID/fd/N and the like lead to. With DONT_SYNC the kernel answers from what it has cached.
bool leads_to(const fs::path& link, dev_t device) {
  struct statx info {};
  if (::statx(AT_FDCWD, link.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &info) != 0) return false;
  return makedev(info.stx_dev_major, info.stx_dev_minor) == device;
}

bool has_open(const fs::path& process, dev_t device) {
  std::error_code error;
  const fs::directory_iterator descriptors(process / "fd", error);
  return std::any_of(begin(descriptors), end(descriptors),
                     [device](const fs::directory_entry& entry) { return leads_to(entry.path(), device); });
}

bool has_mapped(const fs::path& process, dev_t device) {
  char wanted[32];
  std::snprintf(wanted, sizeof wanted, "%02x:%02x", major(device), minor(device));
  std::ifstream maps(process / "maps");
  for (std::string line; std::getline(maps, line);) {
    char found[32];
    if (std::sscanf(line.c_str(), "%*s %*s %*s %31s", found) == 1 && std::string(found) == wanted)
      return true;
  }
  return false;
}

std::string how_held(const fs::path& process, dev_t device) {
  if (has_open(process, device)) return "open file";
  if (leads_to(process / "cwd", device)) return "working directory";
  if (leads_to(process / "root", device)) return "root directory";
  if (leads_to(process / "exe", device)) return "program";
  if (has_mapped(process, device)) return "mapping";
  return {};
}

}  // namespace

std::vector<Holder> find_holders(dev_t device, size_t limit) {
  std::vector<Holder> holders;
  std::error_code error;
  for (const fs::directory_entry& process : fs::directory_iterator("/proc", error)) {
    const std::string name = process.path().filename();
    if (holders.size() == limit) break;
    if (!std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c); })) continue;
    const std::string how = how_held(process.path(), device);
    if (how.empty()) continue;
    Holder holder{static_cast<pid_t>(std::stol(name)), "?", how};
    std::ifstream comm(process.path() / "comm");
    std::getline(comm, holder.command);
    holders.push_back(std::move(holder));
  }
  return holders;
}

}  // namespace dmabuffs::cli
