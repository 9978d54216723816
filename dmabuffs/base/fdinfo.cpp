// SPDX-License-Identifier: MIT
#include "dmabuffs/base/fdinfo.h"

#include <fstream>

namespace dmabuffs {

std::map<std::string, std::string> read_fdinfo(const std::string& path) {
  std::map<std::string, std::string> values;
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t value = line.find_first_not_of(" \t", colon + 1);
    values.emplace(line.substr(0, colon), value == std::string::npos ? "" : line.substr(value));
  }
  return values;
}

}  // namespace dmabuffs
