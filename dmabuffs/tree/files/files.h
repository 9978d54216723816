// SPDX-License-Identifier: MIT
/// One host directory shown below files/: its nodes by host inode.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dmabuffs/tree/caller_rights.h"
#include "dmabuffs/tree/files/held.h"
#include "dmabuffs/tree/files/host_dir.h"
#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

class FilesNode;

/// A name a node was seen under; the root has none.
struct FilesName {
  std::shared_ptr<FilesNode> parent;
  std::string name;
};

/// What the client's kernel knows is held, not looked for again: its node has the inode open (O_PATH). So it
/// stays that inode, as on the host itself, whatever the host renames, replaces or removes meanwhile, and no
/// other inode gets its number.
///
/// The kernel does not say what of that is still used: it forgets names when memory is short. Directories,
/// where a process may work for days, are held as long as there is room. Files keep their room on the disk
/// though the host removes them, and what lies on a mount below keeps that from being unmounted, so they are
/// let go when no request came for some seconds; open files stay by their own descriptors. What was let go is
/// found again by the name it was seen under last. Thread-safe.
class FilesRoom : public std::enable_shared_from_this<FilesRoom> {
 public:
  /// `as_caller`: run every operation with the rights of who asked. `read_only`: nothing is changed in it.
  FilesRoom(MountContext& context, std::string directory, bool as_caller, bool read_only);

  /// To be called once. `fd`: the directory as O_PATH; `identity`: that of `fd`.
  std::shared_ptr<FilesNode> make_root(const HostIdentity& identity, UniqueFd fd);

  [[nodiscard]] MountContext& context() const { return context_; }
  /// Where the descriptor of an inode is held.
  [[nodiscard]] FilesHeld& held(const HostIdentity& identity) {
    return S_ISDIR(identity.type) && identity.mount == root_mount_ ? lasting_ : passing_;
  }
  [[nodiscard]] bool as_caller() const { return as_caller_; }

  /// The rights to work with for a request; changes nothing where the daemon acts as itself.
  [[nodiscard]] Result<CallerRights> act_as(const Caller& caller) const;
  /// The same to change something; EROFS where the room is for reading only.
  template <class Who>
  [[nodiscard]] Result<CallerRights> act_to_change(const Who& who) const {
    if (read_only_) return fail(EROFS, directory_ + ": --files shows it for reading only");
    return act_as(who);
  }
  /// The same for what an open file does later.
  [[nodiscard]] Result<CallerRights> act_as(const Credentials& opener) const;
  /// Whom act_as is to be given for an open file; empty where the daemon acts as itself.
  [[nodiscard]] Credentials opener(const Caller& caller) const;

  /// The inode of a node that nothing holds any more, by its name, with the calling thread's rights on the
  /// way. ENOENT: the name leads nowhere; ESTALE: to another inode now.
  Result<SharedFd> find_again(FilesNode& node);

  /// The node of the entry `name` of `parent`, which is open as `parent_fd`. ELOOP: the mount itself lies
  /// there. EACCES: procfs, which would answer about the daemon. ENAMETOOLONG: too deep.
  Result<std::shared_ptr<FilesNode>> find(const std::shared_ptr<FilesNode>& parent, int parent_fd,
                                          const std::string& name);
  /// The node of `identity`, which was just opened as `fd` (O_PATH) by the name `name` in `parent`. ESTALE:
  /// `parent` lies below it by now.
  Result<std::shared_ptr<FilesNode>> adopt(const HostIdentity& identity,
                                           const std::shared_ptr<FilesNode>& parent, const std::string& name,
                                           SharedFd fd);
  /// Whether a directory may lie in `parent`; ENAMETOOLONG: it would lie too deep. ESTALE: `parent` lies
  /// below `directory` (nullptr: a new one).
  Result<void> check_depth(const FilesNode& parent, const FilesNode* directory,
                           const std::string& name) const;

  [[nodiscard]] NodePtr parent_of(const FilesNode& node) const;
  /// Host path for messages.
  [[nodiscard]] std::string display(const FilesNode& node) const;

 private:
  Result<void> check_entered(const HostIdentity& identity, uint64_t from_mount,
                             const std::string& name) const;
  Result<void> check_depth_locked(const FilesNode& parent, const FilesNode* directory,
                                  const std::string& name) const;
  void sweep();

  MountContext& context_;
  const std::string directory_;
  const bool as_caller_, read_only_;
  FilesHeld lasting_, passing_;
  uint64_t root_mount_ = 0;

  mutable std::mutex mutex_;  // nodes_ and every node's name
  std::map<HostIdentity, std::weak_ptr<FilesNode>> nodes_;
  size_t sweep_at_ = 1024;
};

/// Whether these settings let files/ act with the rights of who asks; to be called before mounting. EPERM,
/// with the remedy, for other users (allow_other) on a mount of one who can't take on their rights: they
/// would act with theirs.
Result<void> check_files_allowed(const MountSettings& settings);

/// The files/<name> directory of one host directory. ENOENT, ENOTDIR, EACCES naming it.
/// Its nodes take their numbers from context.files_nodes.
Result<NodePtr> make_files_root(MountContext& context, const FilesOption& option);

}  // namespace dmabuffs
