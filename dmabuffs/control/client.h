// SPDX-License-Identifier: MIT
/// The commands' side of the control socket (docs/control-socket.md), and how a mount is found from a path.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/control/message.h"

namespace dmabuffs {

/// ENOTCONN or, of a request that it had when it died, ECONNABORTED.
bool is_of_dead_daemon(int code);
/// What a system call on `path` reported ('' for an empty one); with the remedy where that tells of a dead
/// daemon (then it is ENOTCONN), or EACCES of another user's mount.
Failure path_error(int code, const std::string& path);

/// The mounts of type fuse.dmabuffs, whole ones before bind mounts of a part.
std::vector<MountEntry> dmabuffs_among(std::vector<MountEntry> mounts);
/// Those of this process.
Result<std::vector<MountEntry>> dmabuffs_mounts();
/// The first whose files have this st_dev; nullptr: none.
const MountEntry* mount_of_device(const std::vector<MountEntry>& mounts, dev_t device);
/// The mount that `path` (which exists) lies in. ENODEV naming the path when it lies in none; ENOTCONN with
/// the remedy when the mount's daemon has died; ETIMEDOUT as check_answers (control/way.h).
Result<MountEntry> mount_of(const std::string& path);

/// A connection to one mount's daemon.
class ControlClient {
 public:
  /// ENOENT: the mount has no control socket. EPERM: what answers is not the mount's daemon. ETIMEDOUT: the
  /// daemon does not answer. ENOTCONN: it has died.
  static Result<ControlClient> connect(const MountEntry& mount);
  /// Path of the socket.
  [[nodiscard]] const std::string& path() const { return path_; }

  struct Waiting {
    /// When it becomes readable the request is cancelled: "cancel" is sent and the reply awaited for a
    /// second.
    int interrupt = -1;
    std::function<void(uint64_t bytes, uint64_t total)> progress = nullptr;
    std::chrono::milliseconds patience = std::chrono::seconds(30);  ///< with silence
  };
  /// Sends one request and waits for its reply, which may say {"ok":false}. `fds` stay the caller's. EINTR:
  /// it was interrupted and no reply came. ETIMEDOUT, naming the daemon: it was silent
  /// for that long. EPIPE: the daemon has gone.
  Result<Message> request(const Json& request, std::span<const int> fds, const Waiting& waiting);

 private:
  ControlClient(UniqueFd socket, std::string path, pid_t daemon)
      : socket_(std::move(socket)), path_(std::move(path)), daemon_(daemon) {}
  static Result<ControlClient> connect_at(std::string path, const MountEntry& mount);
  static Result<std::string> told_by_status(const MountEntry& mount);
  /// ESTALE: the daemon says that it serves another mount. ETIMEDOUT: it says nothing.
  Result<void> check_serves(const MountEntry& mount);

  UniqueFd socket_;
  std::string path_;
  pid_t daemon_;
};

/// A connection to the daemon of each mount that was asked for, made on first use.
class Clients {
 public:
  /// Good as long as this. Errors as ControlClient::connect.
  Result<ControlClient*> of(const MountEntry& mount);
  /// A connection that has broken: the next of() makes a new one.
  void drop(const MountEntry& mount) { connected_.erase(mount.device); }

 private:
  std::map<dev_t, ControlClient> connected_;
};

/// The ticket for the file of a mount that `fd` has open: how the daemon is told of it. ENOTTY: of no regular
/// file of a mount.
Result<std::string> ticket_of(int fd, const std::string& name);

}  // namespace dmabuffs
