// SPDX-License-Identifier: MIT
/// The `copy` operation of the control socket: one file, in pieces, on a thread of its own.
#pragma once
#include <atomic>
#include <memory>
#include <thread>

#include "dmabuffs/fs/control_end.h"

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
  [[nodiscard]] uint64_t total() const { return length_; }
  /// The running piece ends soon, with what it has stored.
  void cancel() { cancel_.cancel(); }
  /// After the end: the final reply.
  [[nodiscard]] Json reply() const;

 private:
  ControlCopy(MountContext& context, OpenEnd from, OpenEnd to)
      : context_(context), from_(std::move(from)), to_(std::move(to)) {}
  [[nodiscard]] Result<void> check_direct(uint64_t there) const;
  void run();
  void move_pieces();
  void finish_destination();
  void add(const Outcome& outcome);

  MountContext& context_;
  OpenEnd from_, to_;
  uint64_t length_ = 0;
  bool require_direct_ = false;
  CancelToken cancel_;
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> ended_{false};
  Outcome sum_;  // the thread's until ended_
  UniqueFd event_;
  std::thread thread_;
};

}  // namespace dmabuffs
