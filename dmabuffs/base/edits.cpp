// SPDX-License-Identifier: MIT
#include "dmabuffs/base/edits.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace dmabuffs {

size_t edits_between(std::string_view a, std::string_view b) {
  const auto same = [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  };
  // From the beginning of `a` so far to each beginning of `b`.
  std::vector<std::vector<size_t>> edits(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      edits[i][j] = i == 0 ? j : i;
      if (i == 0 || j == 0) continue;
      const size_t replaced = edits[i - 1][j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
      edits[i][j] = std::min({replaced, edits[i - 1][j] + 1, edits[i][j - 1] + 1});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
        edits[i][j] = std::min(edits[i][j], edits[i - 2][j - 2] + 1);
    }
  }
  return edits[a.size()][b.size()];
}

}  // namespace dmabuffs
