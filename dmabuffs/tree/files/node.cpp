// SPDX-License-Identifier: MIT
// What is done to an inode of the host itself; directory.cpp has what is done to its entries.
#include "dmabuffs/tree/files/node.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include "dmabuffs/tree/files/open_file.h"

namespace dmabuffs {
namespace {

/// What of a client's open(2) flags is for the host. Not O_DIRECT: the request's buffer is aligned to
/// nothing; not O_NONBLOCK, O_CREAT, O_TRUNC, O_NOFOLLOW: the client's kernel has dealt with them.
constexpr int kHostFlags = O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC | O_NOATIME;

/// FMODE_EXEC of the kernel: execve opens. No open(2) gets it through to a file system.
constexpr int kForExec = 0x20;

constexpr size_t kLargestXattr = 64 << 10;  // XATTR_SIZE_MAX, XATTR_LIST_MAX

/// For a request: while others have a lease on the file it is put off.
Result<UniqueFd> reopen_for_request(int fd, int flags) {
  auto opened = reopen(fd, flags);
  if (!opened && opened.error().code == EWOULDBLOCK) throw InAWhile();
  return opened;
}

/// True for what the client's kernel asks before a write by somebody who may not change the mode: that, as it
/// is, without setuid, and without setgid (which may stay where the group may not execute).
bool drops_privilege(mode_t now, const AttributeChange& change) {
  if (!change.mode || change.uid || change.gid || change.atime || change.mtime) return false;
  const mode_t before = now & 07777, after = *change.mode & 07777;
  return after != before &&
         (after == (before & 01777) || (after == (before & 03777) && (before & S_IXGRP) == 0));
}

}  // namespace

FilesNode::FilesNode(std::shared_ptr<FilesRoom> room, const HostIdentity& identity, SharedFd root)
    : Node(room->context().files_nodes.next()),
      room_(std::move(room)),
      identity_(identity),
      shown_(room_->context().files_numbers.shown(identity.device, identity.inode)),
      root_(std::move(root)) {}

/// A node may be the last to hold its parent, that one its own, and so on: they go one by one, because a
/// destructor that calls the next would use up the stack on a deep tree.
FilesNode::~FilesNode() {
  room_->held(identity_).drop(place_);
  thread_local std::shared_ptr<FilesNode>* leaving = nullptr;
  if (leaving != nullptr) {
    *leaving = std::move(name_.parent);
    return;
  }
  auto last = std::move(name_.parent);
  std::shared_ptr<FilesNode> next;
  leaving = &next;
  while (last) {
    last.reset();
    last = std::move(next);
  }
  leaving = nullptr;
}

void FilesNode::add_handle(const SharedFd& fd) {
  const std::lock_guard lock(mutex_);
  std::erase_if(handles_, [](const auto& handle) { return handle.expired(); });
  handles_.push_back(fd);
}

SharedFd FilesNode::open_handle() {
  const std::lock_guard lock(mutex_);
  for (const auto& handle : handles_) {
    if (auto fd = handle.lock()) return fd;
  }
  return nullptr;
}

/// What is held, else what somebody has open, else it is looked for.
Result<SharedFd> FilesNode::inode() {
  if (auto fd = held()) return fd;
  if (auto fd = open_handle()) return fd;
  return room_->find_again(*this);
}

Result<struct stat> FilesNode::getattr(const Caller& caller, OpenFile*) {
  SharedFd fd = open_handle();
  if (!fd) {
    const auto rights = TRY(room_->act_as(caller));
    fd = TRY(inode());
  }
  struct stat st {};
  if (::fstatat(fd->get(), "", &st, AT_EMPTY_PATH) != 0) return fail_errno(errno, "stat");
  st.st_ino = shown_;
  return st;
}

Result<void> FilesNode::setattr(const Caller& caller, const AttributeChange& change, OpenFile* open) {
  std::optional<mode_t> dropped;
  SharedFd fd;
  {
    const auto rights = TRY(room_->act_to_change(caller));
    fd = TRY(inode());
    auto changed = change_inode(fd->get(), change, open);
    if (changed || changed.error().code != EPERM) return changed;
    struct stat st {};
    if (::fstatat(fd->get(), "", &st, AT_EMPTY_PATH) != 0 || !drops_privilege(st.st_mode, change))
      return changed;
    dropped = change.mode;
  }
  // The client's kernel takes setuid and setgid away itself before a write by somebody who is not the owner,
  // and asks for that in the writer's name, who may not change the mode. It is done with the daemon's rights;
  // where they do not suffice the host does it when the write comes.
  (void)::chmod(descriptor_path(fd->get()).c_str(), *dropped & 07777);
  AttributeChange rest = change;
  rest.mode.reset();
  const auto rights = TRY(room_->act_as(caller));
  return change_inode(fd->get(), rest, open);
}

/// Owner before mode, because chown takes setuid and setgid away; times last, because truncation sets them.
Result<void> FilesNode::change_inode(int fd, const AttributeChange& change, OpenFile* open) {
  const std::string path = descriptor_path(fd);
  const auto* file = dynamic_cast<const FilesFile*>(open);
  int writable = file ? file->writable_fd() : -1;
  UniqueFd own;
  if (change.size && writable < 0) {  // truncate(2) would wait for a lease
    own = TRY(reopen_for_request(fd, O_WRONLY));
    writable = own.get();
  }
  if (change.uid || change.gid) {
    const uid_t uid = change.uid.value_or(static_cast<uid_t>(-1));
    const gid_t gid = change.gid.value_or(static_cast<gid_t>(-1));
    if (::fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0) return fail_errno(errno, "chown");
  }
  if (change.mode && ::chmod(path.c_str(), *change.mode & 07777) != 0) return fail_errno(errno, "chmod");
  if (change.size && ::ftruncate(writable, static_cast<off_t>(*change.size)) != 0)
    return fail_errno(errno, "truncate");
  if (change.atime || change.mtime) {
    constexpr struct timespec keep { 0, UTIME_OMIT };
    const std::array<struct timespec, 2> times{change.atime.value_or(keep), change.mtime.value_or(keep)};
    if (::utimensat(fd, "", times.data(), AT_EMPTY_PATH) != 0) return fail_errno(errno, "set times");
  }
  return {};
}

Result<std::string> FilesNode::readlink(const Caller& caller) {
  const auto rights = TRY(room_->act_as(caller));
  const auto fd = TRY(inode());
  std::array<char, PATH_MAX> target;
  const ssize_t length = ::readlinkat(fd->get(), "", target.data(), target.size());
  if (length < 0) return fail_errno(errno, "readlink");
  return std::string(target.data(), static_cast<size_t>(length));
}

Result<OpenPtr> FilesNode::open(const Caller& caller, int flags) {
  auto share = TRY(room_->context().shares.take_descriptors(caller.uid, FilesFile::kDescriptors));
  return open_inode(room_->opener(caller), flags, std::move(share));
}

Result<OpenPtr> FilesNode::open_inode(const Credentials& opener, int flags, Share share) {
  // Opening anything else does something on the host (a FIFO waits, a device starts); the client's kernel
  // opens those itself and never asks.
  if (S_ISDIR(identity_.type)) return fail_errno(EISDIR, "open");
  if (!S_ISREG(identity_.type)) return fail_errno(ENXIO, "open");
  const bool reads = (flags & O_ACCMODE) == O_RDONLY;
  auto rights = TRY(reads ? room_->act_as(opener) : room_->act_to_change(opener));
  const auto fd = TRY(inode());
  auto opened = reopen_for_request(fd->get(), flags & kHostFlags);
  // Who may only execute a file has its bytes read all the same.
  if (!opened && opened.error().code == EACCES && reads && (flags & kForExec) != 0 &&
      ::faccessat(fd->get(), "", X_OK, AT_EACCESS | AT_EMPTY_PATH) == 0) {
    { const CallerRights back = std::move(rights); }
    opened = reopen_for_request(fd->get(), O_RDONLY);
  }
  if (!opened) return pass(std::move(opened));
  return std::make_shared<FilesFile>(self(), std::make_shared<const UniqueFd>(std::move(*opened)),
                                     flags & kHostFlags, opener, std::move(share));
}

Result<struct statvfs> FilesNode::statfs(const Caller& caller) {
  const auto rights = TRY(room_->act_as(caller));
  const auto fd = TRY(inode());
  struct statvfs out {};
  if (::fstatvfs(fd->get(), &out) != 0) return fail_errno(errno, "statfs");
  return out;
}

Result<std::string> FilesNode::getxattr(const Caller& caller, const std::string& name) {
  const auto rights = TRY(room_->act_as(caller));
  const auto fd = TRY(inode());
  std::string value(kLargestXattr, '\0');
  const ssize_t length =
      ::getxattr(descriptor_path(fd->get()).c_str(), name.c_str(), value.data(), value.size());
  if (length < 0) return fail_errno(errno, name);
  value.resize(static_cast<size_t>(length));
  return value;
}

Result<std::vector<std::string>> FilesNode::listxattr(const Caller& caller) {
  const auto rights = TRY(room_->act_as(caller));
  const auto fd = TRY(inode());
  std::string list(kLargestXattr, '\0');
  const ssize_t length = ::listxattr(descriptor_path(fd->get()).c_str(), list.data(), list.size());
  if (length < 0) return fail_errno(errno, "listxattr");
  list.resize(static_cast<size_t>(length));
  std::vector<std::string> names;
  for (size_t at = 0; at < list.size(); at += names.back().size() + 1) names.emplace_back(list.c_str() + at);
  return names;
}

Result<void> FilesNode::setxattr(const Caller& caller, const std::string& name, const std::string& value,
                                 int flags) {
  const auto rights = TRY(room_->act_to_change(caller));
  const auto fd = TRY(inode());
  const std::string path = descriptor_path(fd->get());
  return check_call(::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), flags), "setxattr");
}

Result<void> FilesNode::removexattr(const Caller& caller, const std::string& name) {
  const auto rights = TRY(room_->act_to_change(caller));
  const auto fd = TRY(inode());
  return check_call(::removexattr(descriptor_path(fd->get()).c_str(), name.c_str()), "removexattr");
}

}  // namespace dmabuffs
