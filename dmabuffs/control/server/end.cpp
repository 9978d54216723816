// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/end.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dmabuffs/tree/caller_rights.h"

namespace dmabuffs {

namespace {

constexpr size_t kMaxName = 1024;  // in messages, logs and the status file

/// Attributes as this machine caches them: asking the file system could mean asking ourselves.
Result<struct statx> cached_attributes(int fd) {
  struct statx st {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID, &st) != 0)
    return fail_errno(errno, "passed descriptor");
  return st;
}

bool is_ours(const struct statx& st, const MountContext& context) {
  return makedev(st.stx_dev_major, st.stx_dev_minor) == context.own_device.load();
}

Result<UniqueFd> take(const Json& end, const char* key, std::vector<UniqueFd>& fds) {
  const auto index = number_of(end, key);
  if (!index || *index >= fds.size() || !fds[*index])
    return fail(EINVAL,
                std::string("\"") + key + "\": must be the index of a descriptor passed with the message");
  return std::move(fds[*index]);
}

Result<void> check_mode(int flags, Access access, const char* what) {
  const int mode = flags & O_ACCMODE;
  if (access == Access::Read && mode != O_RDONLY && mode != O_RDWR)
    return fail(EBADF, std::string(what) + ": not open for reading");
  if (access == Access::Write && mode != O_WRONLY && mode != O_RDWR)
    return fail(EBADF, std::string(what) + ": not open for writing");
  // pwrite(2) on it would ignore the offset.
  if (access == Access::Write && (flags & O_APPEND))
    return fail(EINVAL, std::string(what) + ": opened with O_APPEND");
  return {};
}

/// Who opened it was let by the kernel; nothing more is asked here.
Result<OpenEnd> open_ticket_end(const ControlScope& scope, const Json& end, Access access) {
  auto file = TRY(named_file(scope, end));
  TRY(check_mode(file.flags, access, "\"ticket\""));
  const auto st = TRY(file.node->getattr(scope.peer.caller(), file.open.get()));
  auto transfer = TRY(file.open->transfer_end(access));
  OpenEnd made;
  made.open = std::move(file.open);
  made.node = std::move(file.node);
  made.end = std::move(transfer);
  made.size = static_cast<uint64_t>(st.st_size);
  if (made.end.buffer() != nullptr) made.size = made.end.buffer()->size();
  return made;
}

Result<void> check_access_mode(int fd, Access access) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return fail_errno(errno, "passed descriptor");
  if (flags & O_PATH) return fail(EBADF, "passed descriptor: opened with O_PATH");
  return check_mode(flags, access, "passed descriptor");
}

/// The transfer writes with the daemon's rights, which leave these bits where those of the client would not.
void drop_privilege_bits_for(const Peer& peer, int fd) {
  if (::geteuid() == 0 && peer.uid != 0) drop_privilege_bits(fd);
}

Result<void> check_same(const struct statx& a, const struct statx& b) {
  const bool same = a.stx_ino == b.stx_ino && a.stx_dev_major == b.stx_dev_major &&
                    a.stx_dev_minor == b.stx_dev_minor && a.stx_rdev_major == b.stx_rdev_major &&
                    a.stx_rdev_minor == b.stx_rdev_minor;
  if (!same) return fail(EINVAL, "\"direct_fd\": not the same file as \"fd\"");
  return {};
}

Result<OpenEnd> open_passed_end(const ControlScope& scope, const Json& end, Access access,
                                std::vector<UniqueFd>& fds) {
  OpenEnd made;
  UniqueFd direct;
  made.descriptor = TRY(take(end, "fd", fds));
  const auto st = TRY(cached_attributes(made.descriptor.get()));
  if (is_ours(st, scope.context))
    return fail(EXDEV, "passed descriptor: of this mount; name it with a \"ticket\"");
  if (!S_ISREG(st.stx_mode) && !S_ISBLK(st.stx_mode))
    return fail(EINVAL, "passed descriptor: neither a regular file nor a block device");
  TRY(check_access_mode(made.descriptor.get(), access));
  if (end.contains("direct_fd")) {
    direct = TRY(take(end, "direct_fd", fds));
    const auto other = TRY(cached_attributes(direct.get()));
    TRY(check_same(st, other));
    TRY(check_access_mode(direct.get(), access));
    if (!(::fcntl(direct.get(), F_GETFL) & O_DIRECT))
      return fail(EINVAL, "\"direct_fd\": not open with O_DIRECT");
  }
  if (access == Access::Write) drop_privilege_bits_for(scope.peer, made.descriptor.get());
  const std::string name = printable(text_of(end, "name").value_or("passed file").substr(0, kMaxName));
  // may_reopen is false: a second descriptor would be opened with the daemon's rights, not the client's.
  const auto file = std::make_shared<FileEnd>(made.descriptor.get(), std::move(direct), name, false);
  made.size = TRY(file->size());
  made.end = file;
  return made;
}

}  // namespace

Result<Tickets::OpenedFile> named_file(const ControlScope& scope, const Json& file) {
  const auto ticket = file.is_object() ? text_of(file, "ticket") : std::nullopt;
  if (!ticket) return fail(EINVAL, "a file of the mount is named by {\"ticket\":\"…\"}");
  return scope.context.tickets.redeem(*ticket);
}

Result<OpenEnd> open_end(const ControlScope& scope, const Json& end, Access access,
                         std::vector<UniqueFd>& fds) {
  if (!end.is_object() || end.contains("ticket") == end.contains("fd"))
    return fail(EINVAL, "an end of a copy is {\"ticket\":\"…\"} or {\"fd\":I}");
  auto made =
      end.contains("ticket") ? open_ticket_end(scope, end, access) : open_passed_end(scope, end, access, fds);
  if (!made) return made;
  if (end.contains("offset")) {
    const auto offset = number_of(end, "offset");
    constexpr uint64_t kLargestOffset = INT64_MAX;
    if (!offset || *offset > kLargestOffset) return fail(EINVAL, "\"offset\": must be a file offset");
    made->offset = *offset;
  }
  return made;
}

}  // namespace dmabuffs
