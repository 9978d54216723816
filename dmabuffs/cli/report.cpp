// SPDX-License-Identifier: MIT
#include <cstdio>

#include "dmabuffs/cli/commands.h"

namespace dmabuffs::cli {

int report(const std::string& message) {
  std::fprintf(stderr, "dmabuffs: %s\n", message.c_str());
  return 1;
}

}  // namespace dmabuffs::cli
