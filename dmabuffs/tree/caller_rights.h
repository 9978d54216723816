// SPDX-License-Identifier: MIT
/// A root daemon that serves other users does nothing for them with its own rights: each operation on the
/// host runs as the one who asked.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/tree/node.h"

namespace dmabuffs {

/// Whom a thread acts as.
struct Credentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  ///< supplementary
  uint64_t capabilities = 0;  ///< effective set; counts for uid 0 only
};

/// The caller's credentials: uid and gid from the request, groups and capabilities from /proc/PID/status.
/// Capabilities of another user namespace than the daemon's are none here.
/// Where the process can't be seen (pid 0: another pid namespace), is gone, or its ids are not the request's
/// (its number was used again), there are no groups and no capabilities: rights that are not known are not
/// given.
Credentials credentials_of(const Caller& caller);

/// While it lives the calling thread (no other) has these credentials' rights to files: fsuid, fsgid,
/// supplementary groups, and for uid 0 at most the caller's capabilities, for others none. Never
/// CAP_SYS_RESOURCE, which would let a write pass quotas and reserved blocks. Move-only; must go on the
/// thread that took it.
class CallerRights {
 public:
  /// Changes nothing.
  CallerRights() = default;
  /// EPERM when the thread can't switch; its rights are then as before.
  static Result<CallerRights> take(const Credentials& credentials);
  CallerRights(CallerRights&& other) noexcept;
  CallerRights& operator=(CallerRights&&) = delete;
  /// Ends the process if the thread's own rights can't be put back: it must not go on with another's.
  ~CallerRights();

 private:
  bool active_ = false;
  Credentials own_;
};

/// Gives CAP_SYS_RESOURCE up for good, for all threads that start later: with it a transfer for somebody
/// else, which runs with the daemon's rights, would pass the quota.
void give_up_reserved_resources();

/// Takes setuid, and setgid where the group may execute, away from the file, as a write by somebody without
/// CAP_FSETID does.
void drop_privilege_bits(int fd);

}  // namespace dmabuffs
