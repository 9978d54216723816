// SPDX-License-Identifier: MIT
/// The words of a command line made safe for CLI11.
#include <algorithm>

#include "dmabuffs/cli/commands.h"

namespace dmabuffs::cli {

std::vector<std::string> cut_command(std::vector<std::string>& words) {
  if (words.empty() || words.front() != "exec") return {};
  const auto mark = std::find(words.begin(), words.end(), "--");
  if (mark == words.end()) return {};
  std::vector<std::string> command(mark + 1, words.end());
  words.erase(mark, words.end());
  return command;
}

void guard_operands(std::vector<std::string>& words) {
  const auto mark = std::find(words.begin(), words.end(), "--");
  for (auto word = words.begin(); word != words.end(); ++word)
    if (word->starts_with("[") || (word > mark && word->starts_with("-"))) word->insert(0, "./");
  if (mark != words.end()) words.erase(mark);
}

}  // namespace dmabuffs::cli
