// SPDX-License-Identifier: MIT
/// Reaching inodes of a host directory without ever leaving it: no "..", no symbolic link, no magic link is
/// followed.
#pragma once
#include <sys/stat.h>
#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <string>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// Which inode a descriptor is of. Two names of one file within one mount of the host have the same identity.
/// It is nobody else's for as long as a descriptor of the inode is open; later its number may be used again.
struct HostIdentity {
  uint64_t mount = 0;  ///< STATX_MNT_ID: the same directory seen through two bind mounts is two directories
  dev_t device = 0;
  uint64_t inode = 0;
  mode_t type = 0;  ///< S_IFREG, …

  auto operator<=>(const HostIdentity&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14
};

/// Identity of what `fd` (O_PATH will do) is open on, from what this machine knows already
/// (AT_STATX_DONT_SYNC): it never sends a request to a FUSE daemon or a server.
Result<HostIdentity> identify(int fd);

/// The entry `name` of `directory` itself as O_PATH: a symbolic link is not followed, a mount point is
/// entered.
Result<UniqueFd> open_entry(int directory, const std::string& name);

/// Makes the regular file `name` in `directory`; EEXIST when there is anything of that name. `flags` as for
/// open(2).
Result<UniqueFd> create_entry(int directory, const std::string& name, int flags, mode_t mode);

/// Opens the inode of `fd` anew; the file system checks the calling thread's rights to it now. EWOULDBLOCK:
/// somebody has a lease on it.
Result<UniqueFd> reopen(int fd, int flags);

/// A path that names the very inode of `fd` for calls that take only paths, even that of a symbolic link.
std::string descriptor_path(int fd);

}  // namespace dmabuffs
