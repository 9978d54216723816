// SPDX-License-Identifier: MIT
// What a node or open file answers when its room does not implement a call.
#include "dmabuffs/tree/node.h"

namespace dmabuffs {

namespace {
Failure refuse(int code) {
  return fail_errno(code, "not possible here");
}
}  // namespace

Result<size_t> OpenFile::write(uint64_t, std::span<const std::byte>) {
  return refuse(EBADF);
}
Result<void> OpenFile::fallocate(int, uint64_t, uint64_t) {
  return refuse(EOPNOTSUPP);
}
Result<uint64_t> OpenFile::lseek(uint64_t, int) {
  return refuse(EINVAL);  // ENXIO would say that there is no data
}

std::vector<DirectoryEntry> dots_after(uint64_t after) {
  std::vector<DirectoryEntry> dots;
  if (after < 1) dots.push_back({".", 0, S_IFDIR, 1});
  if (after < 2) dots.push_back({"..", 0, S_IFDIR, 2});
  return dots;
}

Result<void> Node::setattr(const Caller&, const AttributeChange&, OpenFile*) {
  return refuse(EPERM);
}
Result<std::string> Node::readlink(const Caller&) {
  return refuse(EINVAL);
}
Result<OpenPtr> Node::open(const Caller&, int) {
  return refuse(EISDIR);
}
Result<NodePtr> Node::lookup(const Caller&, const std::string&) {
  return refuse(ENOENT);
}
Result<std::unique_ptr<OpenDirectory>> Node::opendir(const Caller&) {
  return refuse(ENOTDIR);
}
Result<Node::Created> Node::create(const Caller&, const std::string&, mode_t, int) {
  return refuse(EPERM);
}
Result<NodePtr> Node::mknod(const Caller&, const std::string&, mode_t, dev_t) {
  return refuse(EPERM);
}
Result<NodePtr> Node::mkdir(const Caller&, const std::string&, mode_t) {
  return refuse(EPERM);
}
Result<NodePtr> Node::symlink(const Caller&, const std::string&, const std::string&) {
  return refuse(EPERM);
}
Result<NodePtr> Node::link(const Caller&, Node&, const std::string&) {
  return refuse(EPERM);
}
Result<void> Node::unlink(const Caller&, const std::string&) {
  return refuse(EPERM);
}
Result<void> Node::rmdir(const Caller&, const std::string&) {
  return refuse(EPERM);
}
Result<void> Node::rename(const Caller&, const std::string&, Node&, const std::string&, unsigned) {
  return refuse(EPERM);
}
Result<struct statvfs> Node::statfs(const Caller&) {
  return refuse(ENOSYS);
}
Result<std::string> Node::getxattr(const Caller&, const std::string&) {
  return refuse(ENODATA);
}
Result<std::vector<std::string>> Node::listxattr(const Caller&) {
  return std::vector<std::string>{};
}
Result<void> Node::setxattr(const Caller&, const std::string&, const std::string&, int) {
  return refuse(ENOTSUP);
}
Result<void> Node::removexattr(const Caller&, const std::string&) {
  return refuse(ENODATA);
}

}  // namespace dmabuffs
