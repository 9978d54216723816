// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/files/files.h"

#include <fcntl.h>
#include <unistd.h>

#include "dmabuffs/tree/caller_rights.h"
#include "dmabuffs/tree/files/node.h"
#include "dmabuffs/tree/files/room.h"

namespace dmabuffs {

Result<void> check_files_allowed(const MountSettings& settings) {
  if (settings.files.empty() || !settings.allow_other) return {};
  const std::string refused = "--files " + settings.files.front().directory + ": not with allow_other ";
  if (::geteuid() != 0) {
    return fail(EPERM, refused +
                           "unless root mounts: every user would reach it with your rights; leave out "
                           "allow_other, or mount as root");
  }
  // In a user namespace "root" may be no one who can become somebody else.
  constexpr uid_t kNobody = 65534;
  const auto rights = CallerRights::take({kNobody, kNobody, {}, 0});
  if (!rights) {
    return fail(EPERM,
                refused +
                    "here: this process can't act as other users (it lacks CAP_SETUID or CAP_SETGID); leave "
                    "out allow_other");
  }
  return {};
}

Result<NodePtr> make_files_root(MountContext& context, const FilesOption& option) {
  const std::string what = "--files " + option.name + "=" + option.directory;
  UniqueFd root(::open(option.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_errno(errno, what);
  if (::faccessat(root.get(), ".", X_OK, AT_EACCESS) != 0) return fail_errno(errno, what);
  const auto identity = identify(root.get());
  if (!identity) return fail(identity.error().code, what + ": " + identity.error().message);
  if (context.mount_types.type_of(identity->mount) == "proc")
    return fail(EACCES, what + ": procfs answers about who asks, which would be the daemon");
  if (::access("/proc/self/fd", X_OK) != 0)
    return fail(ENOENT, what + ": /proc is not mounted; files/ works through it");
  const bool as_caller = ::geteuid() == 0 && context.settings.allow_other;
  const auto room = std::make_shared<FilesRoom>(context, option.directory, as_caller, option.read_only);
  return NodePtr(room->make_root(*identity, std::move(root)));
}

}  // namespace dmabuffs
