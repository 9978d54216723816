// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/mount.h"

#include <unistd.h>

namespace dmabuffs {

MountContext::MountContext(MountSettings s)
    : settings(std::move(s)),
      budget({settings.size, 0, ::geteuid()}),
      recycler(settings.recycle, 30, [gauge = MemoryGauge()] { return gauge.room().bytes == 0; }),
      engine({}),
      owner_uid(::geteuid()),
      owner_gid(::getegid()) {
  budget.set_relief([this] { return recycler.drain(); });
}

}  // namespace dmabuffs
