// SPDX-License-Identifier: MIT
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dmabuffs/fs/files_room.h"

namespace dmabuffs {

/// An inode of the host, whatever its type.
///
/// Names (but the root's) and attributes are never kept by the client's kernel (timeout 0): the host changes
/// them without a word, and with allow_other a kept name would let one user walk on another's rights; asked
/// each time, every step of every path is checked by the host's own kernel for him who walks.
///
/// An operation on the inode itself prefers a descriptor that some open file holds to walking there: so
/// fstat, fchmod and the like work on a file that was unlinked, or whose directory the process may no longer
/// search.
class FilesNode final : public Node {
 public:
  FilesNode(std::shared_ptr<FilesRoom> room, const HostIdentity& identity, uint64_t number);
  ~FilesNode() override;

  [[nodiscard]] const HostIdentity& identity() const { return identity_; }
  [[nodiscard]] uint64_t shown_ino() const override;
  /// The name of what --files shows is the mount's own, and leads nowhere else.
  [[nodiscard]] double name_timeout() const override { return room_->is_root(*this) ? 1 : 0; }
  [[nodiscard]] bool asks_others() const override { return true; }
  [[nodiscard]] bool applies_umask() const override { return true; }
  [[nodiscard]] const std::shared_ptr<FilesRoom>& room() const { return room_; }
  /// `fd` is open on this inode; it is used for as long as others hold it.
  void add_handle(const SharedFd& fd);
  /// It has no name any more; `fd` (O_PATH) is kept until the kernel forgets it, which it does when no
  /// process has it as working directory.
  void keep_removed(SharedFd fd);

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
  friend class FilesRoom;  // keeps names_, under its mutex

  std::shared_ptr<FilesNode> self() { return std::static_pointer_cast<FilesNode>(shared_from_this()); }
  SharedFd handle();
  Result<SharedFd> inode();
  Result<OpenPtr> open_inode(const Credentials& opener, int flags);
  Result<void> change_mode(int fd, mode_t mode);
  Result<void> change_inode(int fd, const AttributeChange& change, OpenFile* open);
  Result<UniqueFd> directory(const std::string& name);
  Result<Created> create_in(int directory, const Credentials& opener, const std::string& name, mode_t mode,
                            int flags);

  const std::shared_ptr<FilesRoom> room_;
  const HostIdentity identity_;
  std::vector<FilesName> names_;  // newest first; guarded by the room
  std::mutex mutex_;
  std::vector<std::weak_ptr<const UniqueFd>> handles_;
  SharedFd removed_;
};

/// st_ino as the mount shows it: the host's, mixed with the host's device and with the top bit set. Plain
/// host numbers would not do: within one mount they may equal those of buffers and of other host file
/// systems, and `cp` takes two files of the same number for one ("are the same file").
uint64_t shown_inode(dev_t device, uint64_t inode);
inline constexpr uint64_t kShownInode = uint64_t{1} << 63;  ///< set in all of them and in no other of a mount

}  // namespace dmabuffs
