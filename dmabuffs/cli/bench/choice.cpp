// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/choice.h"

#include <fnmatch.h>

#include <algorithm>

#include "dmabuffs/base/range.h"
#include "dmabuffs/cli/mount/settings.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli::bench {

Result<uint64_t> bytes_of_each(const std::string& chunks, const std::string& each, uint64_t size) {
  if (chunks.empty() && each.empty()) return size;
  if (!chunks.empty() && !each.empty()) return fail(EINVAL, "--chunks and --each: one of them");
  const std::string option = chunks.empty() ? "--each " + each : "--chunks " + chunks;
  const size_t cross = chunks.find('x');
  const auto bytes = parse_size(chunks.empty()               ? each
                                : cross == std::string::npos ? ""
                                                             : chunks.substr(cross + 1));
  if (!bytes || *bytes == 0)
    return fail(EINVAL,
                option + (chunks.empty() ? ": a size such as 32M" : ": a number and a size, such as 32x32M"));
  if (*bytes % kPage != 0) return fail(EINVAL, option + ": buffers are whole pages, multiples of 4096 bytes");
  if (chunks.empty()) return std::min(*bytes, size);
  const std::string count = chunks.substr(0, cross);
  const uint64_t needed = (size + *bytes - 1) / *bytes;
  if (count == std::to_string(needed)) return *bytes;
  return fail(EINVAL, option + ": FILE, " + size_text(size) + ", fills " + std::to_string(needed) +
                          " buffers of that size");
}

bool is_wanted(const std::string& name, const std::vector<std::string>& patterns) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(), [&name](const std::string& pattern) {
           return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
         });
}

std::string unknown_pattern(const std::vector<Row>& rows, const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns)
    if (std::none_of(rows.begin(), rows.end(),
                     [&pattern](const Row& row) { return is_wanted(row.name, {pattern}); }))
      return pattern;
  return {};
}

Result<const Row*> choose_baseline(const std::vector<Row>& rows, Direction direction,
                                   const std::string& asked, const std::string& usual) {
  const auto named = [&rows](const std::string& name) {
    const auto found =
        std::find_if(rows.begin(), rows.end(), [&name](const Row& row) { return row.name == name; });
    return found == rows.end() ? nullptr : &*found;
  };
  const Row* const row = named(asked);
  if (row != nullptr && row->direction == direction) {
    if (row->why_not.empty()) return row;
    return fail(EINVAL, "--baseline " + asked + ": it can't run here: " + row->why_not);
  }
  const Row* const other = named(usual);
  return other != nullptr && other->why_not.empty() ? other : nullptr;
}

}  // namespace dmabuffs::cli::bench
