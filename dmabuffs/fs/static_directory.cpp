// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/static_directory.h"

#include <algorithm>

#include "dmabuffs/fs/attributes.h"

namespace dmabuffs {

StaticDirectory::StaticDirectory(MountContext& context, uint64_t ino, NodePtr parent)
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
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, node] : children_) entries.push_back({name, node->ino(), 0});
  return std::make_unique<FixedListing>(std::move(entries));
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
