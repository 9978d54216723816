// SPDX-License-Identifier: MIT
/// Where control sockets are, and how one is bound or reached.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// Directories that may hold the sockets of `owner`'s mounts, best first: /run/dmabuffs for root;
/// $XDG_RUNTIME_DIR/dmabuffs and /run/user/UID/dmabuffs; /tmp/dmabuffs-UID where there is no runtime
/// directory, and since anybody could make that one first, those of the owner's named /tmp/dmabuffs-UID.*.
std::vector<std::string> socket_directories(uid_t owner);

/// File name of the socket of the mount at `mountpoint`: readable, and unique by a hash.
std::string socket_name(const std::string& mountpoint);

/// A listening socket. `path` is where it can be found; removed when it goes, if it is still that socket.
struct ListeningSocket {
  UniqueFd fd;
  std::string path;
  dev_t device = 0;
  ino_t inode = 0;
};

/// Binds and listens in the first of socket_directories() that can be made and is this user's alone, or in a
/// new one below /tmp. `for_others`: other users may connect. A socket left by a daemon that died is
/// replaced; one that answers is left alone and the name gets the process id. Without a directory: the error
/// of the last one tried.
Result<ListeningSocket> listen_at(const std::string& mountpoint, uid_t owner, bool for_others);
/// Removes the file if it is still the one that listen_at made.
void remove_socket(const ListeningSocket& socket);

/// ENOENT, ECONNREFUSED (nobody listens), EACCES; EAGAIN: for ten seconds nobody has taken the connections
/// that wait there. To send waits no longer either.
Result<UniqueFd> connect_to(const std::string& path);

/// Where the control socket of the mount at `mountpoint` (absolute, resolved) is: in
/// $XDG_RUNTIME_DIR/dmabuffs or, for root, /run/dmabuffs; the name is made from the mount point. Used by the
/// daemon and by the commands.
std::string control_socket_path(const std::string& mountpoint, uid_t owner);

}  // namespace dmabuffs
