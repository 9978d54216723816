// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/planner.h"

#include <algorithm>

#include "dmabuffs/base/align.h"

namespace dmabuffs {
namespace {

constexpr const char* kInCache = "the source is in the page cache";
constexpr const char* kUnaligned = "unaligned head or tail";
constexpr const char* kBufferOffset = "the offset in the buffer is not aligned as the offset in the file is";

void add(Plan& plan, Path path, uint64_t length, std::string why) {
  if (length > 0) plan.parts.push_back({path, length, std::move(why)});
}

/// The middle by `path`, what surrounds it by `beside`.
Plan around_body(const Split& split, Path path, const std::string& why, Path beside) {
  Plan plan;
  add(plan, beside, split.head, kUnaligned);
  add(plan, path, split.body, why);
  add(plan, beside, split.tail, kUnaligned);
  return plan;
}

/// What would have helped.
std::string and_by_kernel(const Situation& now) {
  return now.not_by_kernel_reason.empty() ? "" : "; " + now.not_by_kernel_reason;
}

}  // namespace

uint64_t direct_unit(uint32_t offset_alignment) {
  return std::max<uint64_t>(offset_alignment, kPage);
}

Plan plan(const Situation& now) {
  const Split split = split_aligned({now.file_offset, now.length}, direct_unit(now.offset_alignment));
  const bool has_body = split.body > 0;
  const auto refuse = [&](const std::string& why) {
    Plan plan;
    plan.refusal = why;
    return plan;
  };
  const auto all_by = [&](Path path, const std::string& why) {
    Plan plan;
    add(plan, path, now.length, why);
    return plan;
  };

  if (!now.not_direct_reason.empty()) {
    if (now.require_direct && has_body) return refuse(now.not_direct_reason);
    return all_by(Path::Buffered, now.not_direct_reason);
  }
  if (now.cache_is_faster && now.to_buffer && !now.require_direct) return all_by(Path::Buffered, kInCache);

  const bool body_aligned = (now.memory_address + split.head) % now.memory_alignment == 0;
  if (now.not_pinnable_reason.empty() && has_body && body_aligned) {
    // Ends of a source can be read direct as whole blocks into bounce memory, which leaves nothing in the
    // page cache. Ends of a destination are written through it: a direct write would store a whole block and
    // make the file longer.
    return around_body(split, Path::PinnedDirect, {}, now.to_buffer ? Path::BounceDirect : Path::Buffered);
  }

  const bool dmabuf_aligned = (now.dmabuf_offset + split.head) % now.memory_alignment == 0;
  if (now.not_by_kernel_reason.empty() && has_body && dmabuf_aligned)
    return around_body(split, Path::KernelDirect, {}, now.to_buffer ? Path::BounceDirect : Path::Buffered);

  const std::string why = !now.not_pinnable_reason.empty() ? now.not_pinnable_reason + and_by_kernel(now)
                          : has_body                       ? kBufferOffset
                                                           : kUnaligned;
  if (now.require_direct && has_body) return refuse(why);
  if (now.to_buffer) return all_by(Path::BounceDirect, why);
  return around_body(split, Path::BounceDirect, why, Path::Buffered);
}

}  // namespace dmabuffs
