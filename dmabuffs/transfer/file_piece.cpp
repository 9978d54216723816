// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/file_piece.h"

#include <algorithm>
#include <utility>

namespace dmabuffs {
namespace {

const std::string kTookTheCache = "the file system took it through the page cache";

Situation describe(const FilePiece::Setting& setting, uint64_t done) {
  Situation now;
  now.to_buffer = setting.to_buffer;
  now.file_offset = setting.file_offset + done;
  now.not_direct_reason = setting.file.not_direct_reason();
  now.offset_alignment = setting.file.alignment().offsets(setting.to_buffer ? Access::Read : Access::Write);
  now.memory_alignment = setting.file.alignment().memory;
  now.require_direct = setting.require_direct;
  return now;
}

}  // namespace

FilePiece::FilePiece(Workshop& shop, FileSystems& known, const Setting& setting, Target target)
    : shop_(shop),
      known_(known),
      setting_(setting),
      direct_fd_(setting.file.direct_fd()),
      target_(std::move(target)),
      not_by_kernel_(target_.dmabuf.fd < 0 ? "there is no dma-buf yet" : shop.module.why_not()) {
  if (!setting_.to_buffer || setting_.require_direct || direct_fd_ < 0) return;
  const Range range{setting_.file_offset, target_.memory.size()};
  cache_is_faster_ = known_.cache.cache_is_faster(shop_, setting_.file, range, setting_.cancel);
}

std::string FilePiece::refusal(const KernelModule& module, const Setting& setting, uint64_t memory_offset,
                               uint64_t length, const std::string& not_pinnable_reason) {
  Situation now = describe(setting, 0);
  now.length = length;
  now.memory_address = memory_offset;  // a buffer's memory starts at a page
  now.not_pinnable_reason = not_pinnable_reason;
  now.dmabuf_offset = memory_offset;
  now.not_by_kernel_reason = module.why_not();
  return plan(now).refusal.value_or("");
}

bool FilePiece::goes_by_kernel(Workshop& shop, FileSystems& known, const Setting& setting, uint64_t length,
                               const std::string& not_pinnable_reason) {
  Situation now = describe(setting, 0);
  now.length = length;
  now.not_pinnable_reason = not_pinnable_reason;
  now.not_by_kernel_reason = shop.module.why_not();
  if (setting.file.direct_fd() >= 0 && !setting.require_direct) {
    const Range range{setting.file_offset, length};
    now.cache_is_faster = known.cache.cache_is_faster(shop, setting.file, range, setting.cancel);
  }
  const Plan plan = dmabuffs::plan(now);
  const auto by_kernel = [](const Part& part) { return part.path == Path::KernelDirect; };
  return std::ranges::any_of(plan.parts, by_kernel) &&
         why_distrusted(shop, known, setting, setting.file_offset).empty();
}

Outcome FilePiece::moved_by_kernel(uint64_t bytes, bool direct) {
  Outcome outcome;
  outcome.add(Moved{bytes, {}}, direct ? Path::KernelDirect : Path::Buffered, direct ? "" : kTookTheCache);
  return outcome;
}

Error FilePiece::refused(const FileEnd& file, const std::string& why) {
  return {EIO, file.name() + ": a direct transfer is required, but " + why};
}

Situation FilePiece::situation() const {
  Situation now = describe(setting_, outcome_.bytes);
  now.length = target_.memory.size() - outcome_.bytes;
  now.memory_address = reinterpret_cast<uintptr_t>(target_.memory.data()) + outcome_.bytes;
  now.not_pinnable_reason = target_.not_pinnable_reason;
  now.dmabuf_offset = target_.dmabuf.offset + outcome_.bytes;
  now.not_by_kernel_reason = not_by_kernel_;
  now.cache_is_faster = cache_is_faster_;
  if (now.not_direct_reason.empty()) now.not_direct_reason = came_short_;
  return now;
}

Outcome FilePiece::run() {
  while (outcome_.bytes < target_.memory.size()) {
    const Plan plan = dmabuffs::plan(situation());
    if (plan.refusal) {
      outcome_.error = refused(setting_.file, *plan.refusal);
      break;
    }
    if (!run_parts(plan)) break;
  }
  return std::move(outcome_);
}

/// False when the piece has ended, true when what is left of it must be planned (again).
bool FilePiece::run_parts(const Plan& plan) {
  for (const Part& part : plan.parts) {
    if (const std::string why = distrust(part); !why.empty()) {
      setting_.file.deny_direct(why);
      return true;
    }
    Moved moved = run_part(part);
    const auto error = std::exchange(moved.error, std::nullopt);  // another path may still move the rest
    outcome_.add(moved, moved.buffered ? Path::Buffered : part.path,
                 moved.buffered ? kTookTheCache : part.why);
    moved.error = error;
    if (moved.bytes < part.length) return explain_shortfall(part, moved);
  }
  return true;
}

/// Notes why a part ended early; true when another path may still move the rest.
bool FilePiece::explain_shortfall(const Part& part, const Moved& moved) {
  if (moved.refusal == Moved::Refusal::File && part.path != Path::Buffered) {
    setting_.file.deny_direct(std::string("direct I/O on the file failed: ") +
                              std::strerror(moved.error->code));
    return true;
  }
  if (moved.refusal == Moved::Refusal::Memory && part.path == Path::KernelDirect) {
    not_by_kernel_ = "the kernel module can't use this dma-buf or this file";
    return true;
  }
  if (moved.refusal == Moved::Refusal::Memory && part.path == Path::PinnedDirect) {
    target_.not_pinnable_reason = "the buffer's pages could not be pinned";
    return true;
  }
  if (moved.error) {
    outcome_.error = moved.error;
    return false;
  }
  if (!setting_.to_buffer || part.path == Path::Buffered) return false;
  // A short direct read is the end of the file, or else a file system that has more but won't give it this
  // way.
  if (setting_.file.size().value_or(0) <= setting_.file_offset + outcome_.bytes) return false;
  came_short_ = "a direct read of the file came back short";
  return true;
}

/// Why a direct read must not be believed; empty when it may, or when the part is none.
std::string FilePiece::distrust(const Part& part) {
  if (!setting_.to_buffer || part.path == Path::Buffered) return {};
  return why_distrusted(shop_, known_, setting_, setting_.file_offset + outcome_.bytes);
}

std::string FilePiece::why_distrusted(Workshop& shop, FileSystems& known, const Setting& setting,
                                      uint64_t offset) {
  if (auto verdict = known.trust.verdict(setting.file)) return *verdict;
  auto loan = shop.bounce.borrow(1, setting.cancel);
  if (!loan) return {};  // cancelled, or no memory: the path itself will say so
  const uint64_t unit = direct_unit(setting.file.alignment().reads);
  const uint64_t block = round_down(offset, unit);
  return known.trust.check(setting.file, block, loan->unit(0).first(unit));
}

Moved FilePiece::run_part(const Part& part) {
  const FilePart bytes{setting_.file,
                       direct_fd_,
                       setting_.file_offset + outcome_.bytes,
                       target_.memory.subspan(outcome_.bytes, part.length),
                       target_.lease,
                       setting_.cancel,
                       {target_.dmabuf.fd, target_.dmabuf.offset + outcome_.bytes}};
  const FilePath& way = file_path(part.path);
  return (setting_.to_buffer ? way.read : way.write)(shop_, bytes);
}

}  // namespace dmabuffs
