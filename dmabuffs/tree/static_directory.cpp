// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/static_directory.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "dmabuffs/tree/attributes.h"

namespace dmabuffs {

StaticDirectory::StaticDirectory(MountContext& context, uint64_t ino, const NodePtr& parent)
    : Node(ino), context_(context), parent_(parent), made_(time_now()) {}

Result<struct stat> StaticDirectory::getattr(const Caller&, OpenFile*) {
  Attributes attributes{context_.owner_uid, context_.owner_gid, S_IFDIR | 0755, made_, made_, made_};
  const auto is_directory = [](const auto& child) { return child.first != "status"; };
  return attributes.to_stat(ino(), 2 + std::count_if(children_.begin(), children_.end(), is_directory));
}

Result<NodePtr> StaticDirectory::lookup(const Caller&, const std::string& name) {
  const auto found = children_.find(name);
  if (found == children_.end()) return fail_errno(ENOENT, name);
  return found->second;
}

Result<std::unique_ptr<OpenDirectory>> StaticDirectory::opendir(const Caller&) {
  return std::make_unique<FixedListing>([self = shared_from_this(), this] {
    std::vector<DirectoryEntry> entries;
    for (const auto& [name, node] : children_) entries.push_back({name, node->ino()});
    return entries;
  });
}

Result<std::vector<DirectoryEntry>> FixedListing::list(uint64_t after) {
  if (after == 0) {
    entries_ = dots_after(0);
    std::ranges::move(make_(), std::back_inserter(entries_));
    for (uint64_t i = 0; i < entries_.size(); ++i) entries_[i].place = i + 1;
  }
  const auto from = static_cast<ptrdiff_t>(std::min<uint64_t>(after, entries_.size()));
  return std::vector(entries_.begin() + from, entries_.end());
}

Result<struct statvfs> StaticDirectory::statfs(const Caller&) {
  return budget_statvfs(context_);
}

struct statvfs budget_statvfs(MountContext& context) {
  struct statvfs out {};
  context.freeing.wait(std::chrono::milliseconds(250));  // `rm x; df` shows x gone
  // Recycled memory is free for whoever asks next, so it is not shown as used.
  const uint64_t limit = context.budget.limit();
  const uint64_t held = context.budget.used();
  const uint64_t spare = context.recycler.held();
  const uint64_t used = held > spare ? held - spare : 0;
  out.f_bsize = kBlockSize;
  out.f_frsize = kPage;
  out.f_blocks = limit / kPage;
  out.f_bfree = out.f_bavail = (limit > used ? limit - used : 0) / kPage;
  out.f_namemax = 255;
  return out;
}

}  // namespace dmabuffs
