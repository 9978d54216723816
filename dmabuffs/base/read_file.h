// SPDX-License-Identifier: MIT
#pragma once
#include <fstream>
#include <sstream>
#include <string>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// All of a file, also of one in /proc, which has no size. What open(2) reported, naming the path.
inline Result<std::string> read_file(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno(errno, path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace dmabuffs
