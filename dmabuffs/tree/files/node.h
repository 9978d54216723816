// SPDX-License-Identifier: MIT
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dmabuffs/tree/files/files.h"

namespace dmabuffs {

/// An inode of the host, whatever its type.
///
/// Names (but the root's) and attributes are never kept by the client's kernel (timeout 0): the host changes
/// them without a word, and with allow_other a kept name would let one user walk on another's rights; asked
/// each time, every step of every path is checked by the host's own kernel for who walks. Who has come to
/// an inode, or was given it open, works on that inode itself, with their own rights to it.
class FilesNode final : public Node {
 public:
  /// `root`: the descriptor of the root, kept for good; others have theirs held (hold).
  FilesNode(std::shared_ptr<FilesRoom> room, const HostIdentity& identity, SharedFd root = {});
  ~FilesNode() override;

  [[nodiscard]] const HostIdentity& identity() const { return identity_; }
  [[nodiscard]] uint64_t shown_ino() const override { return shown_; }
  /// The name of what --files shows is the mount's own, and leads nowhere else.
  [[nodiscard]] double name_timeout() const override { return root_ ? 1 : 0; }
  [[nodiscard]] bool asks_others() const override { return true; }
  [[nodiscard]] bool applies_umask() const override { return true; }
  [[nodiscard]] const std::shared_ptr<FilesRoom>& room() const { return room_; }
  std::shared_ptr<FilesNode> self() { return std::static_pointer_cast<FilesNode>(shared_from_this()); }
  /// `fd` (O_PATH) is of this inode.
  void hold(SharedFd fd) { room_->held(identity_).hold(place_, std::move(fd)); }
  /// Its descriptor while there is one.
  SharedFd held() { return root_ ? root_ : room_->held(identity_).use(place_); }
  /// `fd` is open on this inode; it is used, for as long as others keep it, where none is held.
  void add_handle(const SharedFd& fd);

  Result<struct stat> getattr(const Caller&, OpenFile* open) override;
  Result<void> setattr(const Caller&, const AttributeChange&, OpenFile* open) override;
  Result<std::string> readlink(const Caller&) override;
  Result<OpenPtr> open(const Caller&, int flags) override;
  [[nodiscard]] NodePtr parent() const override { return room_->parent_of(*this); }
  Result<struct statvfs> statfs(const Caller&) override;

  Result<NodePtr> lookup(const Caller&, const std::string& name) override;
  Result<std::unique_ptr<OpenDirectory>> opendir(const Caller&) override;
  Result<Created> create(const Caller&, const std::string& name, mode_t mode, int flags) override;
  Result<NodePtr> mknod(const Caller&, const std::string& name, mode_t mode, dev_t device) override;
  Result<NodePtr> mkdir(const Caller&, const std::string& name, mode_t mode) override;
  Result<NodePtr> symlink(const Caller&, const std::string& target, const std::string& name) override;
  Result<NodePtr> link(const Caller&, Node& existing, const std::string& name) override;
  Result<void> unlink(const Caller&, const std::string& name) override;
  Result<void> rmdir(const Caller&, const std::string& name) override;
  Result<void> rename(const Caller&, const std::string& name, Node& new_parent, const std::string& new_name,
                      unsigned flags) override;

  // Any name is passed on: the host checks it for the caller. That includes POSIX ACLs, which the host
  // enforces too; the client's kernel goes by the mode bits.
  Result<std::string> getxattr(const Caller&, const std::string& name) override;
  Result<std::vector<std::string>> listxattr(const Caller&) override;
  Result<void> setxattr(const Caller&, const std::string& name, const std::string& value, int flags) override;
  Result<void> removexattr(const Caller&, const std::string& name) override;

 private:
  friend class FilesRoom;  // keeps name_, under its mutex

  SharedFd open_handle();
  Result<SharedFd> inode();
  Result<OpenPtr> open_inode(const Credentials& opener, int flags, Share share);
  Result<void> change_mode(int fd, mode_t mode);
  Result<void> change_inode(int fd, const AttributeChange& change, OpenFile* open);
  Result<SharedFd> directory(const std::string& name);
  Result<Created> create_in(int directory, const Credentials& opener, const std::string& name, mode_t mode,
                            int flags, Share& share);

  const std::shared_ptr<FilesRoom> room_;
  const HostIdentity identity_;
  const uint64_t shown_;
  const SharedFd root_;
  FilesHeld::Place place_;
  FilesName name_;  // guarded by the room
  std::mutex mutex_;
  std::vector<std::weak_ptr<const UniqueFd>> handles_;
};

}  // namespace dmabuffs
