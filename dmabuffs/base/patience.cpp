// SPDX-License-Identifier: MIT
#include "dmabuffs/base/patience.h"

#include <future>
#include <thread>

#include "dmabuffs/base/blocked_signals.h"

namespace dmabuffs {

bool ends_within(std::chrono::milliseconds limit, std::function<void()> question) {
  std::promise<void> ended;
  const auto end = ended.get_future();
  const AllSignalsBlocked blocked;
  std::thread asking([question = std::move(question), ended = std::move(ended)]() mutable {
    question();
    ended.set_value();
  });
  const bool in_time = end.wait_for(limit) == std::future_status::ready;
  in_time ? asking.join() : asking.detach();
  return in_time;
}

}  // namespace dmabuffs
