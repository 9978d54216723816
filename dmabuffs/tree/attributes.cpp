// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/attributes.h"

#include <algorithm>

#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

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
