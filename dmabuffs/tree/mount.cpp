// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/mount.h"

#include <unistd.h>

namespace dmabuffs {

MountContext::MountContext(MountSettings s)
    : settings(std::move(s)),
      budget({settings.size, 0, ::geteuid()}),
      shares(budget, Shares::of_this_process(budget, ::geteuid())),
      recycler(settings.recycle, 30, [gauge = MemoryGauge()] { return gauge.room().bytes == 0; }),
      engine({}),
      tickets(::geteuid()),
      owner_uid(::geteuid()),
      owner_gid(::getegid()) {
  // The wait is for a thread that unmaps and frees: gigabytes in a fraction of a second, if it has a CPU.
  budget.set_relief([this] {
    const bool freed = freeing.wait(std::chrono::seconds(10));
    return recycler.drain() || freed;
  });
}

}  // namespace dmabuffs
