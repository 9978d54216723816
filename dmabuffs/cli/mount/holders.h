// SPDX-License-Identifier: MIT
/// Which processes keep a file system busy.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

namespace dmabuffs::cli {

struct Holder {
  pid_t pid = 0;
  std::string command;
  std::string how;  ///< "open file", "working directory", "root directory", "program", "mapping"
};

/// Processes that use files with this st_dev, at most `limit` of them. Those of other users show to root
/// only. Asks nothing of the file system itself, which may hang.
std::vector<Holder> find_holders(dev_t device, size_t limit);

}  // namespace dmabuffs::cli
