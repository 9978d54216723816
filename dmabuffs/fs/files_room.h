// SPDX-License-Identifier: MIT
/// One host directory shown below files/: its nodes by host inode, and the walk to them.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "dmabuffs/base/host_dir.h"
#include "dmabuffs/fs/caller_rights.h"
#include "dmabuffs/fs/mount.h"

namespace dmabuffs {

class FilesNode;

/// A descriptor that several hold.
using SharedFd = std::shared_ptr<const UniqueFd>;

/// A name a node was seen under.
struct FilesName {
  std::shared_ptr<FilesNode> parent;
  std::string name;
};

/// Nodes hold no descriptor: what a million of them would need no process has. They know their names, and
/// each operation walks from the directory's own descriptor to the inode and makes sure that it is the one
/// meant. What the host renamed, replaced or removed meanwhile is noticed there: ENOENT or ESTALE, upon which
/// the client's kernel looks the name up again. Thread-safe.
class FilesRoom : public std::enable_shared_from_this<FilesRoom> {
 public:
  /// `root`: the directory as O_PATH. `as_caller`: run every operation with the rights of who asked.
  FilesRoom(MountContext& context, std::string directory, UniqueFd root, HostIdentity identity,
            bool as_caller, bool read_only);

  std::shared_ptr<FilesNode> make_root();
  [[nodiscard]] bool is_root(const FilesNode& node) const;

  [[nodiscard]] const MountContext& context() const { return context_; }
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

  /// The node's inode as O_PATH, with the calling thread's rights on the way. ENOENT: no name leads anywhere;
  /// ESTALE: the names lead to other inodes now.
  Result<UniqueFd> reach(const FilesNode& node);

  /// The node of the entry `name` of `parent`, which is open as `parent_fd`. ELOOP: the mount itself lies
  /// there. EACCES: procfs, which would answer about the daemon.
  Result<std::shared_ptr<FilesNode>> find(const std::shared_ptr<FilesNode>& parent, int parent_fd,
                                          const std::string& name);
  /// The node of `identity`, which was just seen as `name` in `parent`. ESTALE: `parent` lies below it by
  /// now.
  Result<std::shared_ptr<FilesNode>> adopt(const HostIdentity& identity,
                                           const std::shared_ptr<FilesNode>& parent, const std::string& name);
  /// The node of `identity` if there is one.
  std::shared_ptr<FilesNode> known(const HostIdentity& identity);
  /// The inode `identity` was renamed.
  void renamed(const HostIdentity& identity, const FilesName& from, const FilesName& to);

  [[nodiscard]] NodePtr parent_of(const FilesNode& node) const;
  /// Host path for messages.
  [[nodiscard]] std::string display(const FilesNode& node) const;

 private:
  /// One component on the way to a node.
  struct Step {
    std::string name;
    uint64_t mount = 0;  // the mount it is on
  };
  using Key = std::tuple<uint64_t, dev_t, uint64_t, mode_t>;
  static Key key_of(const HostIdentity& identity);

  [[nodiscard]] std::vector<FilesName> names_of(const FilesNode& node) const;
  [[nodiscard]] Result<std::vector<Step>> way_to(const FilesName& name, uint64_t mount) const;
  Result<UniqueFd> walk(const std::vector<Step>& way) const;
  Result<UniqueFd> reach_by(const FilesName& name, const FilesNode& node) const;
  Result<void> check_entered(const HostIdentity& identity, uint64_t from_mount,
                             const std::string& name) const;
  [[nodiscard]] bool lies_below(const FilesNode* node, const FilesNode* ancestor) const;
  [[nodiscard]] std::shared_ptr<FilesNode> known_locked(const HostIdentity& identity) const;
  bool add_name(FilesNode& node, const FilesName& name);
  void sweep();

  MountContext& context_;
  const std::string directory_;
  const UniqueFd root_;
  const HostIdentity root_identity_;
  const bool as_caller_, read_only_;

  mutable std::mutex mutex_;  // nodes_ and every node's names
  std::map<Key, std::weak_ptr<FilesNode>> nodes_;
  size_t sweep_at_ = 1024;
};

}  // namespace dmabuffs
