// SPDX-License-Identifier: MIT
#include "dmabuffs/base/cancel.h"

#include <chrono>
#include <csignal>
#include <system_error>

namespace dmabuffs {
namespace {

/// Ignored unless somebody asks for it, so nobody else sends it (socket(7)).
constexpr int kSignal = SIGURG;

/// An ignored signal interrupts nothing.
void handle_signal() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(kSignal, &action, nullptr);
}

}  // namespace

ThreadInterrupt::ThreadInterrupt(const CancelToken* token) : token_(token), target_(::pthread_self()) {
  if (token_ == nullptr) return;
  static const bool once = (handle_signal(), true);
  (void)once;
  try {
    watcher_ = std::thread([this] { watch(); });
  } catch (const std::exception&) {
    // Without a thread to spare the call takes as long as it takes.
  }
}

ThreadInterrupt::~ThreadInterrupt() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

void ThreadInterrupt::watch() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex_);
  // Again and again: a signal that comes just before the call ends nothing.
  while (!changed_.wait_for(lock, 50ms, [this] { return over_; }))
    if (token_->cancelled()) ::pthread_kill(target_, kSignal);
}

}  // namespace dmabuffs
