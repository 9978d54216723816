// SPDX-License-Identifier: MIT
#include <map>
#include <utility>
#include <vector>

#include "dmabuffs/base/log.h"
#include "dmabuffs/tree/heaps/directory.h"
#include "dmabuffs/tree/heaps/heaps.h"

namespace dmabuffs {

namespace {

class Restoration {
 public:
  Restoration(MountContext& context, HeapsRoot& root)
      : numbers_(context.numbers), keeper_(*context.keeper), root_(root) {
    for (KeptEntry& entry : keeper_.take_found()) below_[entry.parent].push_back(std::move(entry));
  }

  void run() {
    directories_ = {{}};
    for (size_t next = 0; next < directories_.size(); ++next) {
      const Directory in = directories_[next];
      auto entries = below_.extract(in.old_number);
      if (!entries) continue;
      for (KeptEntry& entry : entries.mapped()) restore(in, std::move(entry));
    }
    // Only now, for what is made in a directory changes it.
    for (const auto& [node, was] : restored_) {
      const AttributeChange change{
          .mode = was.mode & 07777, .uid = was.uid, .gid = was.gid, .mtime = was.mtime};
      (void)node->setattr({}, change, nullptr);
    }
    size_t lost = 0;
    for (const auto& [parent, entries] : below_) lost += entries.size();
    if (lost > 0)
      log_error(std::to_string(lost) + " names that were kept are in no directory; they are gone");
    if (!restored_.empty()) log_info(std::to_string(restored_.size()) + " names are there again");
  }

 private:
  struct Directory {
    uint64_t old_number = 0, number = 0;  ///< 0: a heap's own
    std::shared_ptr<HeapDirectory> node;  ///< nullptr: it can't be had now
  };

  void restore(const Directory& in, KeptEntry entry) {
    const auto heap = in.old_number == 0 ? root_.lookup({}, entry.heap) : Result<NodePtr>(in.node);
    const auto directory = heap ? std::dynamic_pointer_cast<HeapDirectory>(*heap) : nullptr;
    const auto node = directory ? make(*directory, entry) : fail_errno(ENOENT, "heaps/" + entry.heap);
    Directory made{entry.number, node ? (*node)->ino() : numbers_.next(), nullptr};
    if (node) {
      made.node = std::dynamic_pointer_cast<HeapDirectory>(*node);
      restored_.emplace_back(*node, entry);
    } else {
      leave(in, entry, made.number, node.error());
    }
    if (S_ISDIR(entry.mode)) directories_.push_back(std::move(made));
  }

  Result<NodePtr> make(HeapDirectory& directory, const KeptEntry& entry) {
    const Caller maker{.uid = entry.maker, .gid = entry.gid};
    if (S_ISDIR(entry.mode)) return directory.mkdir(maker, entry.name, 0700);
    if (S_ISLNK(entry.mode)) return directory.symlink(maker, entry.target, entry.name);
    auto node = TRY(directory.mknod(maker, entry.name, S_IFREG | 0600, 0));
    const auto restored =
        static_cast<BufferFile&>(*node).restore(entry, keeper_.take_memory(entry.memory, entry.maker));
    if (restored) return node;
    (void)directory.unlink(maker, entry.name);
    return Failure(restored.error());
  }

  /// What is no buffer's memory is let go; all else may be had the next time.
  void leave(const Directory& in, KeptEntry& entry, uint64_t number, const Error& why) {
    const bool wrong = why.code == EINVAL;
    log_error(entry.heap + ": " + entry.name + ": " + why.message +
              (wrong ? "; it is left out" : "; it stays with the service manager"));
    if (wrong) return keeper_.drop(entry.memory);
    entry.parent = in.number;
    entry.number = number;
    keeper_.leave(entry);
  }

  InodeNumbers& numbers_;
  Keeper& keeper_;
  HeapsRoot& root_;
  std::map<uint64_t, std::vector<KeptEntry>> below_;  ///< by the number of their directory
  std::vector<Directory> directories_;                ///< grows while they are gone through
  std::vector<std::pair<NodePtr, KeptEntry>> restored_;
};

}  // namespace

void restore_heaps(MountContext& context, HeapsRoot& root) {
  Restoration(context, root).run();
  context.keeper->begin();
}

}  // namespace dmabuffs
