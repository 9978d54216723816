// SPDX-License-Identifier: MIT
/// The `copy` operation of the control socket: one file, on a thread of its own.
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "dmabuffs/control/server/end.h"
#include "dmabuffs/transfer/transfer.h"

namespace dmabuffs {

class ControlCopy {
 public:
  /// Checks the request and opens both ends; moves nothing yet. `fds`: the message's descriptors.
  static Result<std::unique_ptr<ControlCopy>> make(const ControlScope& scope, const Json& request,
                                                   std::vector<UniqueFd> fds);
  /// Cancels and waits.
  ~ControlCopy();

  /// Starts the thread. event() becomes readable after each piece and at the end.
  Result<void> start();
  [[nodiscard]] int event() const { return event_.get(); }
  /// Takes the event back; true when the copy has ended.
  bool acknowledge();
  [[nodiscard]] uint64_t done() const { return done_.load(); }
  [[nodiscard]] uint64_t total() const { return total_; }
  /// The running piece ends soon, with what it has stored.
  void cancel() { cancel_.cancel(); }
  /// After the end: the final reply.
  [[nodiscard]] Json reply() const;

 private:
  ControlCopy(OpenEnd from, OpenEnd to) : from_(std::move(from)), to_(std::move(to)) {}
  Result<void> prepare(MountContext& context, const Json& request);
  void run();
  void add(const Outcome& piece);
  void finish_destination();
  /// The kernel has not seen what became of the destination.
  void tell_kernel();

  MountContext* context_ = nullptr;
  OpenEnd from_, to_;
  CancelToken cancel_;
  std::optional<Transfer> transfer_;
  uint64_t total_ = 0;
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> ended_{false};
  Outcome sum_;  // the thread's until ended_
  UniqueFd event_;
  std::thread thread_;
};

}  // namespace dmabuffs
