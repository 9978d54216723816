// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <vector>

#include "dmabuffs/tree/mount.h"

namespace dmabuffs::cli {

/// What the command line said, before it is understood.
struct MountWords {
  std::string mountpoint;
  std::vector<std::string> files;  ///< [NAME=]DIR[:ro]
  std::vector<std::string> heaps;  ///< NAME[:key=value,...]
  std::vector<std::string> heaps_if_present;
  std::vector<std::string> options;  ///< each the text of one -o
  bool require_direct = false;
  bool foreground = false;
};

/// EINVAL naming the word that is wrong and what would be right.
Result<MountSettings> understand(const MountWords& words);

/// Bytes of RAM.
uint64_t machine_memory();

/// "512M", "1.5G", "4096", "50%" (of RAM, 100 at most) in bytes.
Result<uint64_t> parse_size(const std::string& text);

/// Splits at commas that neither a backslash protects nor, as for mount(8), quotes: key="a,b". EINVAL: one is
/// not closed.
Result<std::vector<std::string>> split_options(const std::string& text);
/// The other way round, for one option.
std::string escaped(const std::string& option);

}  // namespace dmabuffs::cli
