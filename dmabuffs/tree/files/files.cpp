// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/files/files.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "dmabuffs/tree/caller_rights.h"
#include "dmabuffs/tree/files/node.h"

namespace dmabuffs {

namespace {

/// Directories one in another: more than a program can name by a path, few enough to be walked for one
/// operation.
constexpr size_t kDeepest = 1 << 12;

/// Longer than from a lookup to what is done with it, and than programs keep a file only to look at it.
constexpr std::chrono::seconds kPatience{2};

/// An eighth of what the process may have open is for nodes, the rest for buffers (see Shares), open files
/// and transfers. Each keeps an inode of the host in memory.
size_t room_for_nodes(const MountContext& context) {
  struct rlimit limit {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return std::min<size_t>(1 << 14, limit.rlim_cur / 16 / std::max<size_t>(1, context.settings.files.size()));
}

}  // namespace

FilesRoom::FilesRoom(MountContext& context, std::string directory, bool as_caller, bool read_only)
    : context_(context),
      directory_(std::move(directory)),
      as_caller_(as_caller),
      read_only_(read_only),
      lasting_(room_for_nodes(context), {}),
      passing_(room_for_nodes(context), kPatience) {}

std::shared_ptr<FilesNode> FilesRoom::make_root(const HostIdentity& identity, UniqueFd fd) {
  root_mount_ = identity.mount;
  auto held = std::make_shared<const UniqueFd>(std::move(fd));
  auto root = std::make_shared<FilesNode>(shared_from_this(), identity, std::move(held));
  const std::lock_guard lock(mutex_);
  nodes_[identity] = root;
  return root;
}

Credentials FilesRoom::opener(const Caller& caller) const {
  return as_caller_ ? credentials_of(caller) : Credentials{};
}

Result<CallerRights> FilesRoom::act_as(const Caller& caller) const {
  return act_as(opener(caller));
}

Result<CallerRights> FilesRoom::act_as(const Credentials& opener) const {
  if (!as_caller_) return CallerRights();
  return CallerRights::take(opener);
}

Result<SharedFd> FilesRoom::find_again(FilesNode& node) {
  // Up to the nearest directory that is held, the root at last; then down, each step looked at before the
  // next: asking for anything behind a mount point could mean asking ourselves, which never ends.
  SharedFd here;
  std::vector<std::pair<std::shared_ptr<FilesNode>, FilesName>> way;
  uint64_t mount = 0;
  {
    const std::lock_guard lock(mutex_);
    auto* at = &node;
    while (!here) {
      way.emplace_back(at->self(), at->name_);
      at = at->name_.parent.get();
      here = at->held();
    }
    mount = at->identity().mount;
  }
  for (; !way.empty(); way.pop_back()) {
    const auto& [next, name] = way.back();
    auto fd = open_entry(here->get(), name.name);
    if (!fd && fd.error().code == ENOTDIR) return fail_errno(ESTALE, name.name);
    if (!fd) return Failure(fd.error());
    const auto identity = TRY(identify(fd->get()));
    if (identity != next->identity()) return fail_errno(ESTALE, name.name);
    TRY(check_entered(identity, mount, name.name));
    mount = identity.mount;
    here = std::make_shared<const UniqueFd>(std::move(*fd));
    next->hold(here);
  }
  return here;
}

Result<void> FilesRoom::check_entered(const HostIdentity& identity, uint64_t from_mount,
                                      const std::string& name) const {
  if (identity.mount == from_mount) return {};
  if (identity.device == context_.own_device.load())
    return fail(ELOOP, name + ": this mount itself lies there");
  const std::string type = context_.mount_types.type_of(identity.mount);
  if (type == "proc")
    return fail(EACCES, name + ": procfs answers about who asks, which would be the daemon");
  // Gone again, or out of sight: what it is can't be told without asking it.
  if (type.empty()) return fail(EACCES, name + ": a mount that is not in the daemon's mount table");
  // Where the daemon serves others one of them could hang it: by an own FUSE mount that does not
  // answer.
  if (as_caller_ && is_fuse(type))
    return fail(EACCES,
                name + ": a FUSE mount, which may be anybody's, is not entered in a mount with allow_other");
  return {};
}

Result<std::shared_ptr<FilesNode>> FilesRoom::find(const std::shared_ptr<FilesNode>& parent, int parent_fd,
                                                   const std::string& name) {
  auto fd = TRY(open_entry(parent_fd, name));
  const auto identity = TRY(identify(fd.get()));
  TRY(check_entered(identity, parent->identity().mount, name));
  return adopt(identity, parent, name, std::make_shared<const UniqueFd>(std::move(fd)));
}

Result<std::shared_ptr<FilesNode>> FilesRoom::adopt(const HostIdentity& identity,
                                                    const std::shared_ptr<FilesNode>& parent,
                                                    const std::string& name, SharedFd fd) {
  FilesName last{parent, name};
  std::shared_ptr<FilesNode> node;
  {
    const std::lock_guard lock(mutex_);
    auto& known = nodes_[identity];
    node = known.lock();
    if (node && !node->name_.parent) return node;  // the root has no name
    if (S_ISDIR(identity.type)) {
      TRY(check_depth_locked(*parent, node.get(), name));
    }
    if (!node) {
      // Not make_shared: the table's weak pointer would keep the whole node's memory.
      node.reset(new FilesNode(shared_from_this(), identity));
      known = node;
    }
    std::swap(node->name_, last);
    sweep();
  }
  // The descriptor of the name seen last, not of the first: on overlayfs two links that are not yet copied up
  // have one number and are two inodes all the same.
  node->hold(std::move(fd));
  return node;
}

Result<void> FilesRoom::check_depth(const FilesNode& parent, const FilesNode* directory,
                                    const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return check_depth_locked(parent, directory, name);
}

/// Two lookups that race with renames on the host may be recorded in the wrong order; a directory is never
/// made to lie below itself by that.
Result<void> FilesRoom::check_depth_locked(const FilesNode& parent, const FilesNode* directory,
                                           const std::string& name) const {
  size_t depth = 0;
  for (const FilesNode* at = &parent; at != nullptr; at = at->name_.parent.get()) {
    if (at == directory) return fail_errno(ESTALE, name);
    if (++depth > kDeepest)
      return fail(ENAMETOOLONG, name + ": lies deeper than " + std::to_string(kDeepest) + " directories");
  }
  return {};
}

/// Forgets the entries of nodes that are gone, once in a while rather than in each destructor.
void FilesRoom::sweep() {
  if (nodes_.size() < sweep_at_) return;
  std::erase_if(nodes_, [](const auto& entry) { return entry.second.expired(); });
  sweep_at_ = std::max<size_t>(1024, nodes_.size() * 2);
}

NodePtr FilesRoom::parent_of(const FilesNode& node) const {
  const std::lock_guard lock(mutex_);
  return node.name_.parent;
}

std::string FilesRoom::display(const FilesNode& node) const {
  std::string path;
  const std::lock_guard lock(mutex_);
  for (const FilesNode* at = &node; at->name_.parent; at = at->name_.parent.get()) {
    if (path.size() > PATH_MAX) return directory_ + "/…" + path;
    path.insert(0, "/" + at->name_.name);
  }
  return directory_ + path;
}

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
