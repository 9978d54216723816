// SPDX-License-Identifier: MIT
#pragma once
#include <map>
#include <mutex>
#include <string>

#include "dmabuffs/tree/attributes.h"
#include "dmabuffs/tree/heaps/buffer_file.h"

namespace dmabuffs {

/// What the directories of one heap share. The mutex guards every name below the heap: a rename touches two
/// directories, and one lock a heap has no order to get wrong.
struct HeapTree {
  MountContext& context;
  std::shared_ptr<Heap> heap;
  std::mutex names;
};

/// The directory of a heap, or one made by a user below it.
class HeapDirectory : public Node {
 public:
  /// The heap's own directory (owner and mode are the device node's).
  HeapDirectory(std::shared_ptr<HeapTree> tree, std::weak_ptr<Node> heaps_root);
  /// A directory below it.
  HeapDirectory(std::shared_ptr<HeapTree> tree, const std::shared_ptr<HeapDirectory>& parent,
                std::string name, const Attributes& attributes, Share share);

  [[nodiscard]] double timeout() const override { return 1; }
  [[nodiscard]] NodePtr parent() const override;
  [[nodiscard]] std::string path() const;
  /// Nothing is made in it any more; false when something is in it, which leaves it as it was.
  bool retire();
  [[nodiscard]] const std::shared_ptr<Heap>& heap() const { return tree_->heap; }
  /// What is kept of something in it.
  [[nodiscard]] KeptEntry entry_for(uint64_t number, const std::string& name, const Attributes& attributes,
                                    uid_t maker) const;
  void each_buffer(const std::function<void(BufferFile&)>& visit);

  Result<struct stat> getattr(const Caller&, OpenFile*) override;
  Result<void> setattr(const Caller&, const AttributeChange&, OpenFile*) override;
  Result<NodePtr> lookup(const Caller&, const std::string& name) override;
  /// Names come through the mount only, so that the kernel knows.
  [[nodiscard]] double absence_timeout() const override { return 1; }
  Result<std::unique_ptr<OpenDirectory>> opendir(const Caller&) override;
  Result<Created> create(const Caller&, const std::string& name, mode_t mode, int flags) override;
  Result<NodePtr> mknod(const Caller&, const std::string& name, mode_t mode, dev_t) override;
  Result<NodePtr> mkdir(const Caller&, const std::string& name, mode_t mode) override;
  Result<NodePtr> symlink(const Caller&, const std::string& target, const std::string& name) override;
  Result<void> unlink(const Caller&, const std::string& name) override;
  Result<void> rmdir(const Caller&, const std::string& name) override;
  Result<void> rename(const Caller&, const std::string& name, Node& new_parent, const std::string& new_name,
                      unsigned flags) override;
  Result<struct statvfs> statfs(const Caller&) override;

 private:
  /// A name keeps its place whatever gets it; what gets another name in its directory keeps its own.
  struct Child {
    NodePtr node;
    uint64_t place = 0;  ///< in listings
  };
  using Children = std::map<std::string, Child>;
  class Listing;

  [[nodiscard]] bool is_heap_itself() const { return name_.empty(); }
  [[nodiscard]] std::shared_ptr<HeapDirectory> self() {
    return std::static_pointer_cast<HeapDirectory>(shared_from_this());
  }
  Attributes attributes_for_child(const Caller&, mode_t mode) const;
  /// What a name here takes of the caller's share, with `more` bytes beside its own. ENAMETOOLONG, ENOSPC.
  Result<Share> share_of(const Caller&, const std::string& name, size_t more = 0) const;
  std::shared_ptr<BufferFile> new_buffer(const Caller&, mode_t mode, Share share);
  /// Gives `child` a name that nothing has. ENOENT: the directory was removed.
  Result<void> add(const std::string& name, const NodePtr& child);
  /// `place`: for a new name; 0: behind all others.
  void place(const std::string& name, const NodePtr& child, uint64_t place = 0);
  /// Has it kept as it is; nothing for the heap's own.
  void record();
  void remove();
  void take_away(Children::const_iterator child);
  [[nodiscard]] bool has_ancestor(const Node* node) const;
  /// How many directories are above it below the heap's own, which has 0 and no more than kMostLevels below
  /// it.
  [[nodiscard]] unsigned level() const;
  /// How many levels of directories are below it.
  [[nodiscard]] unsigned height() const;
  /// ENAMETOOLONG: `moved`, with all that is below it, would come to lie too deep here.
  [[nodiscard]] Result<void> check_depth(const Node& moved, const std::string& name) const;

  std::shared_ptr<HeapTree> tree_;
  const Share share_;
  const uint64_t kept_number_;  ///< 0: the heap's own
  // Guarded by tree_->names.
  std::weak_ptr<Node> parent_;
  std::string name_;  ///< empty for the heap itself
  Attributes attributes_;
  Children children_;
  std::map<uint64_t, Children::const_iterator> by_place_;
  uint64_t last_place_ = 2;     ///< after those of "." and ".."
  nlink_t subdirectories_ = 0;  ///< directories among the children
  bool removed_ = false;
};

}  // namespace dmabuffs
