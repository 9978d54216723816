// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/files_room.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>

#include "dmabuffs/fs/files_node.h"

namespace dmabuffs {
namespace {

/// Names of one hard linked file that are tried; a file with more is found by those looked up last.
constexpr size_t kNamesKept = 8;
/// Longest way to a node in bytes: longer than any path a program can type, short enough to walk for each
/// operation.
constexpr size_t kLongestWay = size_t{16} * PATH_MAX;

}  // namespace

FilesRoom::Key FilesRoom::key_of(const HostIdentity& identity) {
  return {identity.mount, identity.device, identity.inode, identity.type};
}

FilesRoom::FilesRoom(MountContext& context, std::string directory, UniqueFd root, HostIdentity identity,
                     bool as_caller, bool read_only)
    : context_(context),
      directory_(std::move(directory)),
      root_(std::move(root)),
      root_identity_(identity),
      as_caller_(as_caller),
      read_only_(read_only) {}

std::shared_ptr<FilesNode> FilesRoom::make_root() {
  auto root = std::make_shared<FilesNode>(shared_from_this(), root_identity_, context_.numbers.next());
  const std::lock_guard lock(mutex_);
  nodes_[key_of(root_identity_)] = root;
  return root;
}

bool FilesRoom::is_root(const FilesNode& node) const {
  return node.identity().same_as(root_identity_);
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

std::vector<FilesName> FilesRoom::names_of(const FilesNode& node) const {
  const std::lock_guard lock(mutex_);
  return node.names_;
}

Result<UniqueFd> FilesRoom::reach(const FilesNode& node) {
  if (is_root(node)) {
    const int copy = ::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return fail_errno(errno, directory_);
    return UniqueFd(copy);
  }
  Result<UniqueFd> reached = fail_errno(ENOENT, "it");
  for (const FilesName& name : names_of(node)) {
    auto tried = reach_by(name, node);
    if (tried) return tried;
    // A name that is gone says less than one that is denied, or leads to another file.
    if (tried.error().code != ENOENT) reached = std::move(tried);
  }
  return reached;
}

Result<UniqueFd> FilesRoom::reach_by(const FilesName& name, const FilesNode& node) const {
  auto way = way_to(name, node.identity().mount);
  if (!way) return pass(std::move(way));
  auto fd = walk(*way);
  if (!fd) {
    // Something else took a directory's place on the way: a file, a symbolic link, a mount.
    const int code = fd.error().code;
    if (code == ENOTDIR || code == ELOOP || code == EXDEV) return fail_errno(ESTALE, name.name);
    return fd;
  }
  const auto identity = identify(fd->get());
  if (!identity) return Failure(identity.error());
  if (!identity->same_as(node.identity())) return fail_errno(ESTALE, name.name);
  return fd;
}

Result<std::vector<FilesRoom::Step>> FilesRoom::way_to(const FilesName& name, uint64_t mount) const {
  std::vector<Step> way{{name.name, mount}};
  size_t length = name.name.size();
  const std::lock_guard lock(mutex_);
  for (const FilesNode* at = name.parent.get(); !at->identity().same_as(root_identity_);) {
    if (at->names_.empty()) return fail_errno(ESTALE, name.name);
    const FilesName& up = at->names_.front();
    length += up.name.size() + 1;
    if (length > kLongestWay) return fail(ENAMETOOLONG, name.name + ": more than 64 KiB of path lead to it");
    way.push_back({up.name, at->identity().mount});
    at = up.parent.get();
  }
  std::reverse(way.begin(), way.end());
  return way;
}

/// Several components at once as long as they lie in one mount and fit a path; a mount point is entered alone
/// and looked at, for asking for anything behind it could mean asking ourselves, which never ends.
Result<UniqueFd> FilesRoom::walk(const std::vector<Step>& way) const {
  UniqueFd reached;
  std::string run;
  uint64_t mount = root_identity_.mount;
  const auto here = [&] { return reached ? reached.get() : root_.get(); };
  const auto flush = [&]() -> Result<void> {
    if (run.empty()) return {};
    auto next = open_directory_beneath(here(), run);
    if (!next) return pass(std::move(next));
    reached = std::move(*next);
    run.clear();
    return {};
  };
  for (const Step& step : way) {
    const bool alone = step.mount != mount || &step == &way.back();
    if (alone || run.size() + 1 + step.name.size() >= PATH_MAX) {
      if (auto flushed = flush(); !flushed) return pass(std::move(flushed));
    }
    if (!alone) {
      if (!run.empty()) run += '/';
      run += step.name;
      continue;
    }
    auto next = open_entry(here(), step.name);
    if (!next) return next;
    const auto identity = identify(next->get());
    if (!identity) return Failure(identity.error());
    if (identity->mount != step.mount) return fail_errno(ESTALE, step.name);
    if (auto may = check_entered(*identity, mount, step.name); !may) return pass(std::move(may));
    mount = step.mount;
    reached = std::move(*next);
  }
  return reached;
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
  // Where the daemon serves others one of them could hang it: by a FUSE mount of his own that does not
  // answer.
  if (as_caller_ && is_fuse(type))
    return fail(EACCES,
                name + ": a FUSE mount, which may be anybody's, is not entered in a mount with allow_other");
  return {};
}

Result<std::shared_ptr<FilesNode>> FilesRoom::find(const std::shared_ptr<FilesNode>& parent, int parent_fd,
                                                   const std::string& name) {
  const auto fd = open_entry(parent_fd, name);
  if (!fd) return Failure(fd.error());
  const auto identity = identify(fd->get());
  if (!identity) return Failure(identity.error());
  if (auto may = check_entered(*identity, parent->identity().mount, name); !may) return Failure(may.error());
  return adopt(*identity, parent, name);
}

Result<std::shared_ptr<FilesNode>> FilesRoom::adopt(const HostIdentity& identity,
                                                    const std::shared_ptr<FilesNode>& parent,
                                                    const std::string& name) {
  const std::lock_guard lock(mutex_);
  auto node = known_locked(identity);
  if (!node) {
    // Not make_shared: the table's weak pointer would keep the whole node's memory.
    node.reset(new FilesNode(shared_from_this(), identity, context_.numbers.next()));
    nodes_[key_of(identity)] = node;
  }
  if (!add_name(*node, {parent, name})) return fail_errno(ESTALE, name);
  sweep();
  return node;
}

std::shared_ptr<FilesNode> FilesRoom::known_locked(const HostIdentity& identity) const {
  const auto found = nodes_.find(key_of(identity));
  const auto node = found == nodes_.end() ? nullptr : found->second.lock();
  // The same inode number with another birth: the old file is gone, its node finds that out when it is used.
  return node && node->identity().same_as(identity) ? node : nullptr;
}

std::shared_ptr<FilesNode> FilesRoom::known(const HostIdentity& identity) {
  const std::lock_guard lock(mutex_);
  return known_locked(identity);
}

void FilesRoom::renamed(const HostIdentity& identity, const FilesName& from, const FilesName& to) {
  const std::lock_guard lock(mutex_);
  const auto node = known_locked(identity);
  if (!node) return;
  std::erase_if(node->names_,
                [&](const FilesName& n) { return n.parent == from.parent && n.name == from.name; });
  add_name(*node, to);
}

/// Two lookups that race with renames on the host may be recorded in the wrong order; a directory is never
/// made to lie below itself by that.
bool FilesRoom::add_name(FilesNode& node, const FilesName& name) {
  auto& names = node.names_;
  if (is_root(node)) return true;
  if (S_ISDIR(node.identity().type)) {
    names.clear();  // a directory has one name
    if (lies_below(name.parent.get(), &node)) return false;
  }
  std::erase_if(names, [&](const FilesName& n) { return n.parent == name.parent && n.name == name.name; });
  names.insert(names.begin(), name);
  if (names.size() > kNamesKept) names.pop_back();
  return true;
}

bool FilesRoom::lies_below(const FilesNode* node, const FilesNode* ancestor) const {
  while (node != ancestor) {
    if (node->names_.empty()) return false;
    node = node->names_.front().parent.get();
  }
  return true;
}

/// Forgets the entries of nodes that are gone, once in a while rather than in each destructor.
void FilesRoom::sweep() {
  if (nodes_.size() < sweep_at_) return;
  std::erase_if(nodes_, [](const auto& entry) { return entry.second.expired(); });
  sweep_at_ = std::max<size_t>(1024, nodes_.size() * 2);
}

NodePtr FilesRoom::parent_of(const FilesNode& node) const {
  const std::lock_guard lock(mutex_);
  return node.names_.empty() ? nullptr : NodePtr(node.names_.front().parent);
}

std::string FilesRoom::display(const FilesNode& node) const {
  const auto names = names_of(node);
  if (names.empty()) return directory_;
  const auto way = way_to(names.front(), 0);
  if (!way) return directory_ + "/…/" + names.front().name;
  std::string path = directory_;
  for (const Step& step : *way) path += "/" + step.name;
  return path;
}

}  // namespace dmabuffs
