// SPDX-License-Identifier: MIT
/// The dma-bufs of the machine, as far as /proc shows them to who asks: sysfs' list is gone from the kernel,
/// and debugfs is root's.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dmabuffs/control/message.h"

namespace dmabuffs::cli {

struct DmabufHolder {
  pid_t pid = 0;
  std::string command;
  std::vector<int> descriptors;
  unsigned mappings = 0;
};

struct Dmabuf {
  uint64_t size = 0;           ///< 0: only mappings of it were seen, which don't tell
  std::string exporter, name;  ///< may be empty
  std::string path;            ///< of the file of a mount that it is; empty: of none that could be asked
  std::vector<DmabufHolder> holders;
};

struct DmabufList {
  std::map<uint64_t, Dmabuf> by_inode;
  size_t hidden = 0;  ///< processes whose descriptors may not be seen
};

/// Of one process, or of all. `proc`: another directory only in tests.
DmabufList find_dmabufs(std::optional<pid_t> only, const std::string& proc = "/proc");

/// An element of `ps --json` (docs/json.md).
Json to_json(uint64_t inode, const Dmabuf& dmabuf);

}  // namespace dmabuffs::cli
