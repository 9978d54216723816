// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/passthrough.h"

#include <sys/mman.h>

#include "dmabuffs/base/log.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

void Passthrough::enable(Kernel kernel) {
  const std::lock_guard lock(mutex_);
  kernel_ = std::move(kernel);
  enabled_ = true;
}

bool Passthrough::possible() {
  const std::lock_guard lock(mutex_);
  if (enabled_ && !tried_) {
    const UniqueFd memory(::memfd_create("dmabuffs-passthrough", MFD_CLOEXEC));
    const int id = memory ? register_backing(memory.get()) : 0;
    if (id > 0) kernel_.close(id);
  }
  return enabled_;
}

int Passthrough::acquire(uint64_t node, int fd) {
  const std::lock_guard lock(mutex_);
  // Before anything else: an open without the backing that others of the node have would get EIO from the
  // kernel.
  const auto [known, fresh] = backings_.try_emplace(node);
  if (fresh) known->second.id = fd >= 0 && enabled_ ? register_backing(fd) : 0;
  const int id = known->second.id;
  if (id > 0)
    ++known->second.opens;
  else
    backings_.erase(known);
  return id;
}

int Passthrough::register_backing(int fd) {
  tried_ = true;
  const auto id = kernel_.open(fd);
  if (id) return *id;
  // Without CAP_SYS_ADMIN in the first user namespace it is the same each time; anything else is about this
  // file, or this moment.
  if (id.error().code == EPERM && enabled_.exchange(false))
    log_debug("passthrough is not possible here; reads and writes go through the daemon");
  if (id.error().code != EPERM) log_debug(id.error().message);
  return 0;
}

void Passthrough::release(uint64_t node) {
  const std::lock_guard lock(mutex_);
  const auto found = backings_.find(node);
  if (found == backings_.end() || --found->second.opens > 0) return;
  kernel_.close(found->second.id);
  backings_.erase(found);
}

}  // namespace dmabuffs
