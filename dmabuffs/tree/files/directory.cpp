// SPDX-License-Identifier: MIT
// What is done to the entries of a host directory: the host's kernel looks the name up in the directory that
// the node holds, and follows no link there.
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <unistd.h>

#include "dmabuffs/tree/files/node.h"
#include "dmabuffs/tree/files/open_file.h"

namespace dmabuffs {
namespace {

/// The kernel asks for no such name; should it, the host's kernel must not see one that leads elsewhere.
Result<void> check_name(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos)
    return fail_errno(EINVAL, "name");
  return {};
}

/// The caller's umask, on this thread: the host's kernel knows whether a directory's default ACL stands in
/// for it.
class ThreadUmask {
 public:
  explicit ThreadUmask(mode_t mask) : mask_(mask) {
    // From the first time on this thread has a umask (and a working directory) of its own.
    thread_local bool own = false;
    own = own || ::unshare(CLONE_FS) == 0;
    if (own) before_ = ::umask(mask);
  }
  ~ThreadUmask() {
    if (before_) ::umask(*before_);
  }
  ThreadUmask(const ThreadUmask&) = delete;
  ThreadUmask& operator=(const ThreadUmask&) = delete;
  /// What to ask the host for. Where the thread could not have a umask (memory, seccomp) the mask holds even
  /// against a default ACL.
  [[nodiscard]] mode_t of(mode_t mode) const { return before_ ? mode : mode & ~mask_; }

 private:
  const mode_t mask_;
  std::optional<mode_t> before_;
};

template <class NodeType>
Result<NodePtr> as_node(Result<NodeType> found) {
  if (!found) return pass(std::move(found));
  return NodePtr(std::move(*found));
}

}  // namespace

/// This directory as O_PATH, for an operation on its entry `name`.
Result<SharedFd> FilesNode::directory(const std::string& name) {
  TRY(check_name(name));
  if (!S_ISDIR(identity_.type)) return fail_errno(ENOTDIR, name);
  return inode();
}

Result<NodePtr> FilesNode::lookup(const Caller& caller, const std::string& name) {
  const auto rights = TRY(room_->act_as(caller));
  const auto here = TRY(directory(name));
  return as_node(room_->find(self(), here->get(), name));
}

Result<std::unique_ptr<OpenDirectory>> FilesNode::opendir(const Caller& caller) {
  if (!S_ISDIR(identity_.type)) return fail_errno(ENOTDIR, "opendir");
  Shares& shares = room_->context().shares;
  auto descriptor = TRY(shares.take_descriptors(caller.uid, 1));
  auto memory = TRY(shares.take_name(caller.uid, FilesDirectory::kMemory));
  const auto rights = TRY(room_->act_as(caller));
  const auto here = TRY(inode());
  auto opened = TRY(reopen(here->get(), O_RDONLY | O_DIRECTORY));
  auto fd = std::make_shared<const UniqueFd>(std::move(opened));
  add_handle(fd);
  return std::make_unique<FilesDirectory>(std::move(fd), identity_.device, room_->context().files_numbers,
                                          std::array{std::move(descriptor), std::move(memory)});
}

Result<Node::Created> FilesNode::create(const Caller& caller, const std::string& name, mode_t mode,
                                        int flags) {
  auto share = TRY(room_->context().shares.take_descriptors(caller.uid, FilesFile::kDescriptors));
  const ThreadUmask umask(caller.umask);
  const Credentials opener = room_->opener(caller);
  auto rights = TRY(room_->act_to_change(opener));
  const auto here = TRY(directory(name));
  auto created = create_in(here->get(), opener, name, umask.of(mode), flags, share);
  if (created || created.error().code != EEXIST || (flags & O_EXCL)) return created;
  // Somebody else made it since the kernel looked. Only what is known to be a regular file is opened.
  auto node = TRY(room_->find(self(), here->get(), name));
  if (!S_ISREG(node->identity().type)) return fail_errno(ESTALE, name);
  { const auto ended = std::move(rights); }  // it takes them anew, which only the daemon itself may
  auto open = TRY(node->open_inode(opener, flags, std::move(share)));
  return Created{std::move(node), std::move(open)};
}

Result<Node::Created> FilesNode::create_in(int directory, const Credentials& opener, const std::string& name,
                                           mode_t mode, int flags, Share& share) {
  const int kept = flags & (O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC);
  auto created = TRY(create_entry(directory, name, kept, mode));
  const auto fd = std::make_shared<const UniqueFd>(std::move(created));
  const auto identity = TRY(identify(fd->get()));
  auto path = TRY(reopen(fd->get(), O_PATH));
  auto node = TRY(room_->adopt(identity, self(), name, std::make_shared<const UniqueFd>(std::move(path))));
  return Created{node, std::make_shared<FilesFile>(node, fd, kept, opener, std::move(share))};
}

Result<NodePtr> FilesNode::mknod(const Caller& caller, const std::string& name, mode_t mode, dev_t device) {
  const ThreadUmask umask(caller.umask);
  const auto rights = TRY(room_->act_to_change(caller));
  const auto here = TRY(directory(name));
  if (::mknodat(here->get(), name.c_str(), umask.of(mode), device) != 0) return fail_errno(errno, name);
  return as_node(room_->find(self(), here->get(), name));
}

Result<NodePtr> FilesNode::mkdir(const Caller& caller, const std::string& name, mode_t mode) {
  const ThreadUmask umask(caller.umask);
  const auto rights = TRY(room_->act_to_change(caller));
  const auto here = TRY(directory(name));
  TRY(room_->check_depth(*this, nullptr, name));
  if (::mkdirat(here->get(), name.c_str(), umask.of(mode) & 07777) != 0) return fail_errno(errno, name);
  return as_node(room_->find(self(), here->get(), name));
}

Result<NodePtr> FilesNode::symlink(const Caller& caller, const std::string& target, const std::string& name) {
  const auto rights = TRY(room_->act_to_change(caller));
  const auto here = TRY(directory(name));
  if (::symlinkat(target.c_str(), here->get(), name.c_str()) != 0) return fail_errno(errno, name);
  return as_node(room_->find(self(), here->get(), name));
}

Result<NodePtr> FilesNode::link(const Caller& caller, Node& existing, const std::string& name) {
  auto* source = dynamic_cast<FilesNode*>(&existing);
  if (source == nullptr || source->room_ != room_) return fail_errno(EXDEV, name);
  const auto rights = TRY(room_->act_to_change(caller));
  const auto here = TRY(directory(name));
  const auto fd = TRY(source->inode());
  const std::string path = descriptor_path(fd->get());
  if (::linkat(AT_FDCWD, path.c_str(), here->get(), name.c_str(), AT_SYMLINK_FOLLOW) != 0)
    return fail_errno(errno, name);
  return as_node(room_->find(self(), here->get(), name));
}

Result<void> FilesNode::unlink(const Caller& caller, const std::string& name) {
  const auto rights = TRY(room_->act_to_change(caller));
  const auto here = TRY(directory(name));
  if (::unlinkat(here->get(), name.c_str(), 0) != 0) return fail_errno(errno, name);
  return {};
}

Result<void> FilesNode::rmdir(const Caller& caller, const std::string& name) {
  const auto rights = room_->act_to_change(caller);
  if (!rights) return Failure(rights.error());
  const auto here = directory(name);
  if (!here) return Failure(here.error());
  if (::unlinkat((*here)->get(), name.c_str(), AT_REMOVEDIR) != 0) return fail_errno(errno, name);
  return {};
}

Result<void> FilesNode::rename(const Caller& caller, const std::string& name, Node& new_parent,
                               const std::string& new_name, unsigned flags) {
  auto* target = dynamic_cast<FilesNode*>(&new_parent);
  if (target == nullptr || target->room_ != room_) return fail_errno(EXDEV, name);
  if (flags & ~static_cast<unsigned>(RENAME_NOREPLACE | RENAME_EXCHANGE)) return fail_errno(EINVAL, name);
  const auto rights = TRY(room_->act_to_change(caller));
  const auto from = TRY(directory(name));
  const auto to = TRY(target->directory(new_name));
  if (::renameat2(from->get(), name.c_str(), to->get(), new_name.c_str(), flags) != 0)
    return fail_errno(errno, name);
  // The nodes get to know where they are now: for "..", messages, and should they be let go.
  (void)room_->find(target->self(), to->get(), new_name);
  if (flags & RENAME_EXCHANGE) (void)room_->find(self(), from->get(), name);
  return {};
}

}  // namespace dmabuffs
