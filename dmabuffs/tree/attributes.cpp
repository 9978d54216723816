// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/attributes.h"

#include <algorithm>

#include "dmabuffs/tree/mount.h"

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

struct timespec time_now() {
  struct timespec now {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

bool later(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

Attributes Attributes::now(uid_t uid, gid_t gid, mode_t mode) {
  const struct timespec t = time_now();
  return {uid, gid, mode, t, t, t};
}

void Attributes::touch() {
  mtime = ctime = time_now();
}
void Attributes::touch_change() {
  ctime = time_now();
}

void Attributes::apply(const AttributeChange& change, mode_t kept) {
  const auto resolved = [](const struct timespec& t) { return t.tv_nsec == UTIME_NOW ? time_now() : t; };
  if (change.mode) mode = (mode & S_IFMT) | (*change.mode & kept);
  if (change.uid) uid = *change.uid;
  if (change.gid) gid = *change.gid;
  if (change.atime) atime = resolved(*change.atime);
  if (change.mtime) mtime = resolved(*change.mtime);
  touch_change();
}

struct stat Attributes::to_stat(uint64_t ino, nlink_t nlink) const {
  struct stat st {};
  st.st_ino = ino;
  st.st_nlink = nlink;
  st.st_mode = mode;
  st.st_uid = uid;
  st.st_gid = gid;
  st.st_atim = atime;
  st.st_mtim = mtime;
  st.st_ctim = ctime;
  st.st_blksize = kBlockSize;
  return st;
}

bool permitted(const struct stat& st, uid_t uid, gid_t gid, const std::vector<gid_t>& groups, int mask) {
  if (uid == 0) return true;
  unsigned granted = st.st_mode & 7;
  if (st.st_uid == uid) {
    granted = st.st_mode >> 6 & 7;
  } else if (st.st_gid == gid || std::find(groups.begin(), groups.end(), st.st_gid) != groups.end()) {
    granted = st.st_mode >> 3 & 7;
  }
  return (granted & static_cast<unsigned>(mask)) == static_cast<unsigned>(mask);
}

}  // namespace dmabuffs
