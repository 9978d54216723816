// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/passthrough.h"

#include "dmabuffs/base/log.h"

namespace dmabuffs {

#if DMABUFFS_HAS_PASSTHROUGH

int Passthrough::acquire(fuse_req_t request, uint64_t node, int fd) {
  if (!enabled_) return 0;
  const std::lock_guard lock(mutex_);
  Backing& backing = backings_[node];
  if (backing.opens == 0) {
    backing.id = fuse_passthrough_open(request, fd);
    if (backing.id <= 0) {
      backings_.erase(node);
      // EPERM without CAP_SYS_ADMIN in the first user namespace: it will be the same each time.
      if (enabled_.exchange(false)) spdlog::info("passthrough is not possible here; reads and writes go through the daemon");
      return 0;
    }
  }
  ++backing.opens;
  return backing.id;
}

void Passthrough::release(fuse_req_t request, uint64_t node) {
  const std::lock_guard lock(mutex_);
  const auto found = backings_.find(node);
  if (found == backings_.end() || --found->second.opens > 0) return;
  fuse_passthrough_close(request, found->second.id);
  backings_.erase(found);
}

#else

int Passthrough::acquire(fuse_req_t, uint64_t, int) { return 0; }
void Passthrough::release(fuse_req_t, uint64_t) {}

#endif

bool Passthrough::active(uint64_t node) const {
  const std::lock_guard lock(mutex_);
  return backings_.contains(node);
}

}  // namespace dmabuffs
