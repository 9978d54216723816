// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/paths.h"

namespace dmabuffs {

IoQueues::Loan IoQueues::borrow() {
  std::unique_ptr<IoQueue> queue;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      queue = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!queue) queue = std::make_unique<IoQueue>(kDepth);
  return {queue.release(), [this](IoQueue* used) {
            std::unique_ptr<IoQueue> back(used);
            if (!back->asynchronous()) return;  // its ring failed: the next one may have better luck
            const std::lock_guard lock(mutex_);
            idle_.push_back(std::move(back));
          }};
}

Moved::Refusal refusal_of(int error) {
  switch (error) {
    case EINVAL:
    case EOPNOTSUPP:
      return Moved::Refusal::File;
    case EFAULT:
      return Moved::Refusal::Memory;
    default:
      return Moved::Refusal::None;
  }
}

}  // namespace dmabuffs
