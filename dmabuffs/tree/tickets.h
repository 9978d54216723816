// SPDX-License-Identifier: MIT
#pragma once
#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/control/message.h"
#include "dmabuffs/tree/node.h"

namespace dmabuffs {

/// The tickets that are out (control/message.h): each stands for one file that somebody has open. Good
/// once, for ten seconds, and while the file is open. Thread-safe.
class Tickets {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kMaxOfUser = 256;
  static constexpr size_t kMax = 4096;
  static constexpr size_t kMaxOfStrangers = kMax / 4 * 3;
  static constexpr std::chrono::seconds kLife{10};

  struct OpenedFile {
    NodePtr node;
    OpenPtr open;
    int flags = 0;  ///< of open(2)
  };

  explicit Tickets(uid_t owner) : owner_(owner) {}

  /// EBUSY: too many are out; a quarter is kept for the mount's owner and root. Keeps nothing open.
  Result<TicketBits> issue(uid_t user, const OpenedFile& file, Clock::time_point now = Clock::now());
  /// ESTALE: never given, used already, too old, or its file is closed.
  Result<OpenedFile> redeem(const std::string& text, Clock::time_point now = Clock::now());

 private:
  struct Ticket {
    uid_t user;
    std::weak_ptr<Node> node;
    std::weak_ptr<OpenFile> open;
    int flags;
    Clock::time_point end;
  };
  const uid_t owner_;
  std::mutex mutex_;
  std::map<std::string, Ticket> out_;
};

}  // namespace dmabuffs
