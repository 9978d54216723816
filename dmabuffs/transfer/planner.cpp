// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/planner.h"

namespace dmabuffs {
namespace {

Plan refuse(std::string why) {
  return {{}, std::move(why)};
}

/// The middle by `path`, what surrounds it by `beside`.
Plan around_body(const Split& split, Path path, std::string why, Path beside) {
  Plan plan;
  const auto add = [&plan](Path by, uint64_t length, std::string reason) {
    if (length > 0) plan.parts.push_back({by, length, std::move(reason)});
  };
  add(beside, split.head, "unaligned head or tail");
  add(path, split.body, std::move(why));
  add(beside, split.tail, "unaligned head or tail");
  return plan;
}

/// Adds what would have helped, too.
void add_reason(std::string& all, const std::string& reason) {
  if (all.empty())
    all = reason;
  else if (all != reason)
    all += "; " + reason;
}

}  // namespace

Plan plan(const Situation& now) {
  const Split split = split_aligned({now.file_offset, now.length}, direct_unit(now.offset_alignment));
  const bool must_be_direct = now.require_direct && split.body > 0;
  const auto all_by = [&](Path path, std::string why) {
    return Plan{{{path, now.length, std::move(why)}}, std::nullopt};
  };
  if (!now.not_direct_reason.empty())
    return must_be_direct ? refuse(now.not_direct_reason) : all_by(Path::Buffered, now.not_direct_reason);
  if (now.cache_is_faster && now.to_buffer && !now.require_direct)
    return all_by(Path::Buffered, "the source is in the page cache");

  std::string why;
  for (const FilePath& way : file_paths()) {
    if (!way.direct) break;
    const std::string why_not = way.why_not(now, split);
    // Ends of a source can be read direct as whole blocks into bounce memory, which leaves nothing in the
    // page cache. Ends of a destination are written through it: a direct write would store a whole block and
    // make the file longer.
    if (why_not.empty())
      return around_body(split, way.path, "", now.to_buffer ? Path::BounceDirect : Path::Buffered);
    add_reason(why, why_not);
  }
  if (must_be_direct) return refuse(why);
  if (now.to_buffer) return all_by(Path::BounceDirect, why);
  return around_body(split, Path::BounceDirect, why, Path::Buffered);
}

}  // namespace dmabuffs
