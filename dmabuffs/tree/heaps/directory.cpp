// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/heaps/directory.h"

#include <linux/fs.h>

#include "dmabuffs/tree/attributes.h"
#include "dmabuffs/tree/static_directory.h"

namespace dmabuffs {

namespace {
constexpr size_t kNameMax = 255;
// Deeper than anybody's tree, and little enough to go through it by recursion.
constexpr unsigned kMostLevels = 128;
bool is_directory(const NodePtr& node) {
  return std::dynamic_pointer_cast<HeapDirectory>(node) != nullptr;
}
}  // namespace

HeapDirectory::HeapDirectory(std::shared_ptr<HeapTree> tree, std::weak_ptr<Node> heaps_root)
    : Node(tree->context.numbers.next()),
      tree_(std::move(tree)),
      kept_number_(0),
      parent_(std::move(heaps_root)),
      attributes_(Attributes::now(0, 0, S_IFDIR | 0700)) {}

HeapDirectory::HeapDirectory(std::shared_ptr<HeapTree> tree, const std::shared_ptr<HeapDirectory>& parent,
                             std::string name, const Attributes& attributes, Share share)
    : Node(tree->context.numbers.next()),
      tree_(std::move(tree)),
      share_(std::move(share)),
      kept_number_(ino()),
      parent_(parent),
      name_(std::move(name)),
      attributes_(attributes) {}

NodePtr HeapDirectory::parent() const {
  const std::lock_guard lock(tree_->names);
  return parent_.lock();
}

std::string HeapDirectory::path() const {
  const std::lock_guard lock(tree_->names);
  std::string path;
  std::shared_ptr<const HeapDirectory> held;
  for (const HeapDirectory* at = this; !at->is_heap_itself(); at = held.get()) {
    path.insert(0, "/" + at->name_);
    held = std::dynamic_pointer_cast<const HeapDirectory>(at->parent_.lock());
    if (!held) return {};
  }
  return "heaps/" + tree_->heap->name() + path;
}

bool HeapDirectory::retire() {
  const std::lock_guard lock(tree_->names);
  if (children_.empty()) removed_ = true;
  return removed_;
}

void HeapDirectory::each_buffer(const std::function<void(BufferFile&)>& visit) {
  Children children;
  {
    const std::lock_guard lock(tree_->names);
    children = children_;
  }
  for (const auto& [name, child] : children) {
    if (auto directory = std::dynamic_pointer_cast<HeapDirectory>(child.node)) {
      directory->each_buffer(visit);
    } else if (auto* buffer = dynamic_cast<BufferFile*>(child.node.get())) {
      visit(*buffer);
    }
  }
}

Result<struct stat> HeapDirectory::getattr(const Caller&, OpenFile*) {
  std::unique_lock lock(tree_->names);
  Attributes attributes = attributes_;
  const nlink_t links = removed_ ? 0 : 2 + subdirectories_;
  if (!is_heap_itself()) return attributes.to_stat(ino(), links);
  lock.unlock();
  auto access = tree_->heap->access();
  // The device node is gone: what is there can still be read and removed by root, nothing can be made.
  if (!access) access = HeapAccess{0, 0, 0500};
  attributes.uid = access->uid;
  attributes.gid = access->gid;
  attributes.mode = S_IFDIR | access->mode;
  return attributes.to_stat(ino(), links);
}

Result<void> HeapDirectory::setattr(const Caller&, const AttributeChange& change, OpenFile*) {
  const std::lock_guard lock(tree_->names);
  if (is_heap_itself() && (change.mode || change.uid || change.gid)) {
    return fail(EPERM, "heaps/" + tree_->heap->name() + ": owner and mode are those of its device node");
  }
  attributes_.apply(change, 07777);
  record();
  return {};
}

Result<NodePtr> HeapDirectory::lookup(const Caller&, const std::string& name) {
  if (name.size() > kNameMax) return fail_errno(ENAMETOOLONG, name);
  const std::lock_guard lock(tree_->names);
  const auto found = children_.find(name);
  if (found == children_.end()) return fail_errno(ENOENT, name);
  return found->second.node;
}

class HeapDirectory::Listing : public OpenDirectory {
 public:
  explicit Listing(std::shared_ptr<HeapDirectory> directory) : directory_(std::move(directory)) {}
  Result<std::vector<DirectoryEntry>> list(uint64_t after) override {
    constexpr size_t kFew = 64;
    auto entries = dots_after(after);
    const std::lock_guard lock(directory_->tree_->names);
    // Else who makes a file for each found would find those, too, without end.
    if (after == 0) last_ = directory_->last_place_;
    const auto& all = directory_->by_place_;
    for (auto at = all.upper_bound(after); at != all.end() && at->first <= last_ && entries.size() < kFew;
         ++at) {
      const auto& [name, child] = *at->second;
      const auto* entry = dynamic_cast<const HeapEntry*>(child.node.get());
      entries.push_back(
          {name, child.node->ino(), entry != nullptr ? entry->type() : mode_t(S_IFDIR), at->first});
    }
    return entries;
  }

 private:
  std::shared_ptr<HeapDirectory> directory_;
  uint64_t last_ = 0;  // place at the start
};

Result<std::unique_ptr<OpenDirectory>> HeapDirectory::opendir(const Caller&) {
  return std::make_unique<Listing>(self());
}

Attributes HeapDirectory::attributes_for_child(const Caller& caller, mode_t mode) const {
  const bool inherit_group = (attributes_.mode & S_ISGID) != 0;
  if (inherit_group && S_ISDIR(mode)) mode |= S_ISGID;
  return Attributes::now(caller.uid, inherit_group ? attributes_.gid : caller.gid, mode);
}

void HeapDirectory::place(const std::string& name, const NodePtr& child, uint64_t place) {
  const auto [entry, made] = children_.try_emplace(name);
  if (!made && is_directory(entry->second.node)) --subdirectories_;
  entry->second.node = child;
  if (made) {
    entry->second.place = place != 0 ? place : ++last_place_;
    by_place_[entry->second.place] = entry;
  }
  if (is_directory(child)) ++subdirectories_;
  attributes_.touch();
  if (auto directory = std::dynamic_pointer_cast<HeapDirectory>(child)) {
    directory->parent_ = weak_from_this();
    directory->name_ = name;
    directory->record();
  } else {
    static_cast<HeapEntry&>(*child).placed(self(), name);
  }
}

KeptEntry HeapDirectory::entry_for(uint64_t number, const std::string& name, const Attributes& attributes,
                                   uid_t maker) const {
  return {.number = number,
          .parent = kept_number_,
          .mode = attributes.mode,
          .uid = attributes.uid,
          .gid = attributes.gid,
          .maker = maker,
          .mtime = attributes.mtime,
          .heap = tree_->heap->name(),
          .name = name};
}

void HeapDirectory::record() {
  const auto parent = std::dynamic_pointer_cast<HeapDirectory>(parent_.lock());
  if (tree_->context.keeper && parent && !removed_)
    tree_->context.keeper->put(parent->entry_for(ino(), name_, attributes_, share_.uid()));
}

void HeapDirectory::remove() {
  removed_ = true;
  if (tree_->context.keeper) tree_->context.keeper->remove(ino());
}

void HeapDirectory::take_away(Children::const_iterator child) {
  if (is_directory(child->second.node)) --subdirectories_;
  by_place_.erase(child->second.place);
  children_.erase(child);
  attributes_.touch();
}

Result<Share> HeapDirectory::share_of(const Caller& caller, const std::string& name, size_t more) const {
  if (name.size() > kNameMax) return fail_errno(ENAMETOOLONG, name);
  auto share = tree_->context.shares.take_name(caller.uid, Shares::kName + more);
  if (!share) return fail(share.error().code, name + ": " + share.error().message);
  return share;
}

std::shared_ptr<BufferFile> HeapDirectory::new_buffer(const Caller& caller, mode_t mode, Share share) {
  const std::lock_guard lock(tree_->names);
  return std::make_shared<BufferFile>(tree_->context, tree_->heap, attributes_for_child(caller, mode),
                                      std::move(share));
}

Result<void> HeapDirectory::add(const std::string& name, const NodePtr& child) {
  const std::lock_guard lock(tree_->names);
  if (removed_) return fail_errno(ENOENT, name);
  if (children_.contains(name)) return fail_errno(EEXIST, name);
  TRY(check_depth(*child, name));
  place(name, child);
  return {};
}

Result<Node::Created> HeapDirectory::create(const Caller& caller, const std::string& name, mode_t mode,
                                            int flags) {
  if (tree_->heap->kind() == HeapKind::Import) {
    const auto refused = tree_->heap->create(0, caller.uid);
    tree_->context.engine.counters().refuse(refused.error().message);
    return Failure(refused.error());
  }
  auto share = TRY(share_of(caller, name));
  auto file = new_buffer(caller, mode, std::move(share));
  auto open = file->open(caller, flags);  // before it has a name: what can't be opened is not there
  if (!open) return pass(std::move(open));
  TRY(add(name, file));
  return Created{file, *open};
}

Result<NodePtr> HeapDirectory::mknod(const Caller& caller, const std::string& name, mode_t mode, dev_t) {
  if (!S_ISREG(mode))
    return fail(EPERM, name + ": a heap holds regular files, directories and symbolic links only");
  auto share = TRY(share_of(caller, name));
  NodePtr file = new_buffer(caller, mode, std::move(share));
  TRY(add(name, file));
  return file;
}

Result<NodePtr> HeapDirectory::mkdir(const Caller& caller, const std::string& name, mode_t mode) {
  auto share = TRY(share_of(caller, name));
  Attributes attributes;
  {
    const std::lock_guard lock(tree_->names);
    attributes = attributes_for_child(caller, S_IFDIR | (mode & 07777));
  }
  NodePtr directory = std::make_shared<HeapDirectory>(tree_, self(), name, attributes, std::move(share));
  TRY(add(name, directory));
  return directory;
}

Result<NodePtr> HeapDirectory::symlink(const Caller& caller, const std::string& target,
                                       const std::string& name) {
  auto share = TRY(share_of(caller, name, target.size()));
  Attributes attributes;
  {
    const std::lock_guard lock(tree_->names);
    attributes = attributes_for_child(caller, S_IFLNK | 0777);
  }
  NodePtr link = std::make_shared<HeapLink>(tree_->context, attributes, std::move(share), target);
  TRY(add(name, link));
  return link;
}

Result<void> HeapDirectory::unlink(const Caller&, const std::string& name) {
  NodePtr gone;  // freed after the lock is dropped: memory may take long to give back
  const std::lock_guard lock(tree_->names);
  const auto found = children_.find(name);
  if (found == children_.end()) return fail_errno(ENOENT, name);
  if (is_directory(found->second.node)) return fail_errno(EISDIR, name);
  gone = found->second.node;
  take_away(found);
  static_cast<HeapEntry&>(*gone).unlinked();
  return {};
}

Result<void> HeapDirectory::rmdir(const Caller&, const std::string& name) {
  NodePtr gone;
  const std::lock_guard lock(tree_->names);
  const auto found = children_.find(name);
  if (found == children_.end()) return fail_errno(ENOENT, name);
  const auto directory = std::dynamic_pointer_cast<HeapDirectory>(found->second.node);
  if (!directory) return fail_errno(ENOTDIR, name);
  if (!directory->children_.empty()) return fail_errno(ENOTEMPTY, name);
  directory->remove();
  gone = found->second.node;
  take_away(found);
  return {};
}

bool HeapDirectory::has_ancestor(const Node* node) const {
  std::shared_ptr<const HeapDirectory> held;
  for (const HeapDirectory* at = this; at != nullptr; at = held.get()) {
    if (at == node) return true;
    held = std::dynamic_pointer_cast<const HeapDirectory>(at->parent_.lock());
  }
  return false;
}

unsigned HeapDirectory::level() const {
  unsigned level = 0;
  std::shared_ptr<const HeapDirectory> held;
  for (const HeapDirectory* at = this; at != nullptr && !at->is_heap_itself(); at = held.get(), ++level)
    held = std::dynamic_pointer_cast<const HeapDirectory>(at->parent_.lock());
  return level;
}

unsigned HeapDirectory::height() const {
  unsigned height = 0;
  if (subdirectories_ == 0) return height;
  for (const auto& [name, child] : children_) {
    if (const auto* directory = dynamic_cast<const HeapDirectory*>(child.node.get()))
      height = std::max(height, directory->height() + 1);
  }
  return height;
}

Result<void> HeapDirectory::check_depth(const Node& moved, const std::string& name) const {
  const auto* directory = dynamic_cast<const HeapDirectory*>(&moved);
  if (directory == nullptr || level() + 1 + directory->height() <= kMostLevels) return {};
  return fail(ENAMETOOLONG,
              name + ": directories would lie more than " + std::to_string(kMostLevels) + " deep");
}

Result<void> HeapDirectory::rename(const Caller&, const std::string& name, Node& new_parent,
                                   const std::string& new_name, unsigned flags) {
  auto* target = dynamic_cast<HeapDirectory*>(&new_parent);
  if (target == nullptr || target->tree_ != tree_) {
    return fail(EXDEV, name + ": a buffer can't move to another heap; copy it");
  }
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) return fail_errno(EINVAL, name);
  if (new_name.size() > kNameMax) return fail_errno(ENAMETOOLONG, new_name);

  NodePtr replaced;
  const std::lock_guard lock(tree_->names);
  const Keeper::Together together(tree_->context.keeper.get());
  const auto from = children_.find(name);
  if (from == children_.end() || target->removed_) return fail_errno(ENOENT, name);
  const NodePtr moved = from->second.node;
  if (target->has_ancestor(moved.get())) return fail_errno(EINVAL, name);
  const auto to = target->children_.find(new_name);
  const bool exists = to != target->children_.end();
  if (target != this) TRY(target->check_depth(*moved, new_name));

  if ((flags & RENAME_EXCHANGE) != 0) {
    if (!exists) return fail_errno(ENOENT, new_name);
    const NodePtr other = to->second.node;
    if (has_ancestor(other.get())) return fail_errno(EINVAL, new_name);
    TRY(check_depth(*other, name));
    target->place(new_name, moved);
    place(name, other);
    return {};
  }
  if (exists) {
    if ((flags & RENAME_NOREPLACE) != 0) return fail_errno(EEXIST, new_name);
    if (to->second.node == moved) return {};
    replaced = to->second.node;
    const auto directory = std::dynamic_pointer_cast<HeapDirectory>(replaced);
    if (directory && !is_directory(moved)) return fail_errno(EISDIR, new_name);
    if (!directory && is_directory(moved)) return fail_errno(ENOTDIR, new_name);
    if (directory && !directory->children_.empty()) return fail_errno(ENOTEMPTY, new_name);
    if (directory) {
      directory->remove();
    } else {
      static_cast<HeapEntry&>(*replaced).unlinked();
    }
  }
  const uint64_t place = target == this ? from->second.place : 0;
  take_away(from);
  target->place(new_name, moved, place);
  return {};
}

Result<struct statvfs> HeapDirectory::statfs(const Caller&) {
  return budget_statvfs(tree_->context);
}

}  // namespace dmabuffs
