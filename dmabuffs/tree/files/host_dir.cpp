// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/files/host_dir.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "dmabuffs/base/io.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kNoLinks = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

Result<UniqueFd> open_resolved(int directory, const std::string& name, int flags, mode_t mode) {
  struct open_how how {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = kNoLinks;
  // The kernel answers EAGAIN when a rename elsewhere raced with the walk and it can't prove that it stayed
  // beneath.
  for (int attempt = 0; attempt < 8; ++attempt) {
    const long fd = ::syscall(SYS_openat2, directory, name.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return fail_errno(errno, name);
}

}  // namespace

Result<HostIdentity> identify(int fd) {
  struct statx st {};
  const unsigned wanted = STATX_TYPE | STATX_INO | STATX_MNT_ID;
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, wanted, &st) != 0)
    return fail_errno(errno, "statx");
  HostIdentity identity;
  identity.mount = st.stx_mnt_id;
  identity.device = makedev(st.stx_dev_major, st.stx_dev_minor);
  identity.inode = st.stx_ino;
  identity.type = st.stx_mode & S_IFMT;
  return identity;
}

Result<UniqueFd> open_entry(int directory, const std::string& name) {
  return open_resolved(directory, name, O_PATH | O_NOFOLLOW, 0);
}

Result<UniqueFd> create_entry(int directory, const std::string& name, int flags, mode_t mode) {
  return open_resolved(directory, name, flags | O_CREAT | O_EXCL, mode & 07777);
}

Result<UniqueFd> reopen(int fd, int flags) {
  const std::string path = descriptor_path(fd);
  UniqueFd opened = open_without_waiting(path.c_str(), flags);
  if (!opened) return fail_errno(errno, path);
  return opened;
}

std::string descriptor_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

}  // namespace dmabuffs
