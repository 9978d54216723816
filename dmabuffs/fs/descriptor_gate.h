// SPDX-License-Identifier: MIT
#pragma once
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/fs/control_peer.h"

namespace dmabuffs {

/// Takes the descriptors that strangers pass. To close one asks its file system (FLUSH), and a FUSE server
/// that never answers holds whoever does so for good, even while it dies. So each message with descriptors is
/// received by a process of its own, which has nothing of the daemon's and which nobody waits for: only
/// descriptors of file systems that are no FUSE ever come to the daemon. Thread-safe.
class DescriptorGate {
 public:
  /// Forks the process that forks those processes: call it while there is little memory and no thread. It
  /// ends with the gate, or with the daemon.
  static Result<std::unique_ptr<DescriptorGate>> make();

  /// Takes the message that waits in `client` and returns its descriptors. EOPNOTSUPP: one is of FUSE, or of
  /// a mount that the daemon does not see (where `trusted` is false); EBUSY: too many of this user's
  /// descriptors can't be closed. The message may then still be there. ECANCELED: `stop` became readable.
  Result<std::vector<UniqueFd>> take(int client, uid_t user, bool trusted, int stop);
  /// Closes a connection with messages that nobody read.
  void close(UniqueFd client, uid_t user) { (void)begin(client.get(), user, "close"); }

 private:
  struct Taking {
    uid_t user;
    UniqueFd end;  ///< hung up when the process has ended
  };
  explicit DescriptorGate(UniqueFd forker) : forker_(std::move(forker)) {}
  Result<UniqueFd> begin(int client, uid_t user, const char* order);

  UniqueFd forker_;
  std::mutex mutex_;
  std::list<Taking> taking_;
};

}  // namespace dmabuffs
