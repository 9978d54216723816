// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/views/views.h"

#include <functional>
#include <map>
#include <mutex>

#include "dmabuffs/tree/static_directory.h"
#include "dmabuffs/tree/views/view.h"

namespace dmabuffs {

namespace {

constexpr size_t kDirectory = kViewSuffixes.size();

/// The number of a view: of what is viewed, and which view of it.
uint64_t number_of_view(uint64_t of, size_t kind) {
  return (uint64_t{kind} + 1) << 56 | of;
}

bool is_heaps(const Node& node) {
  return dynamic_cast<const HeapsRoot*>(&node) != nullptr;
}

/// The nodes that somebody knows: who looks twice meets the same.
class ViewNodes {
 public:
  using Make = std::function<NodePtr(uint64_t ino)>;
  NodePtr get(uint64_t ino, const Make& make) {
    const std::lock_guard lock(mutex_);
    NodePtr node = nodes_[ino].lock();
    if (node) return node;
    node = make(ino);
    nodes_[ino] = node;
    if (nodes_.size() > 2 * alive_ + 64) forget_gone();
    return node;
  }

 private:
  void forget_gone() {
    std::erase_if(nodes_, [](const auto& each) { return each.second.expired(); });
    alive_ = nodes_.size();
  }

  std::mutex mutex_;
  std::map<uint64_t, std::weak_ptr<Node>> nodes_;
  size_t alive_ = 0;
};

/// What a directory of heaps/, or that itself, looks like in views/. Who may search it is asked of the
/// kernel, by the same owner and mode.
class ViewDirectory final : public Node {
 public:
  ViewDirectory(MountContext& context, uint64_t ino, std::shared_ptr<ViewNodes> nodes, const NodePtr& viewed,
                const NodePtr& parent)
      : Node(ino), context_(context), nodes_(std::move(nodes)), viewed_(viewed), parent_(parent) {}

  [[nodiscard]] NodePtr parent() const override { return parent_.lock(); }

  Result<struct stat> getattr(const Caller& caller, OpenFile*) override {
    const NodePtr viewed = TRY(alive());
    struct stat st = TRY(viewed->getattr(caller, nullptr));
    st.st_ino = ino();
    st.st_mode &= ~static_cast<mode_t>(07222);
    return st;
  }

  Result<NodePtr> lookup(const Caller& caller, const std::string& name) override {
    const NodePtr viewed = TRY(alive());
    if (auto found = viewed->lookup(caller, name)) {
      const auto st = TRY((*found)->getattr(caller, nullptr));
      if (S_ISDIR(st.st_mode)) return directory(*found);
      if (S_ISLNK(st.st_mode) && is_heaps(*viewed)) return found;  // heaps/cma leads to the same name here
    }
    for (size_t kind = 0; kind < kViewSuffixes.size(); ++kind) {
      if (!name.ends_with(kViewSuffixes[kind])) continue;
      const auto found = viewed->lookup(caller, name.substr(0, name.size() - kViewSuffixes[kind].size()));
      if (const auto buffer = found ? std::dynamic_pointer_cast<BufferFile>(*found) : nullptr)
        return nodes_->get(number_of_view(buffer->ino(), kind), [&](uint64_t ino) {
          return std::make_shared<ViewFile>(context_, ino, buffer, static_cast<ViewKind>(kind));
        });
    }
    return fail_errno(ENOENT, name);
  }

  Result<std::unique_ptr<OpenDirectory>> opendir(const Caller& caller) override;
  Result<struct statvfs> statfs(const Caller&) override { return budget_statvfs(context_); }

 private:
  /// Views keep nothing in memory: what was removed is gone.
  [[nodiscard]] Result<NodePtr> alive() const {
    NodePtr viewed = viewed_.lock();
    if (!viewed) return fail_errno(ESTALE, "a directory of views");
    return viewed;
  }
  NodePtr directory(const NodePtr& viewed) {
    return nodes_->get(number_of_view(viewed->ino(), kDirectory), [&](uint64_t ino) {
      return std::make_shared<ViewDirectory>(context_, ino, nodes_, viewed, shared_from_this());
    });
  }

  MountContext& context_;
  const std::shared_ptr<ViewNodes> nodes_;
  const std::weak_ptr<Node> viewed_;
  const std::weak_ptr<Node> parent_;
};

/// As the directory's own listing goes, with three names for a buffer; places are counted in these.
class ViewListing final : public OpenDirectory {
 public:
  ViewListing(NodePtr viewed, std::unique_ptr<OpenDirectory> names, Caller caller)
      : viewed_(std::move(viewed)), names_(std::move(names)), caller_(caller) {}

  Result<std::vector<DirectoryEntry>> list(uint64_t after) override {
    constexpr uint64_t kEach = kViewSuffixes.size() + 1;
    std::vector<DirectoryEntry> entries;
    uint64_t at = after / kEach;
    while (entries.empty()) {
      const auto found = TRY(names_->list(at));
      if (found.empty()) break;
      for (const DirectoryEntry& entry : found) add(entries, entry, entry.place * kEach, after);
      at = found.back().place;
    }
    return entries;
  }

 private:
  void add(std::vector<DirectoryEntry>& entries, const DirectoryEntry& entry, uint64_t place,
           uint64_t after) {
    if (entry.type == S_IFLNK) {
      if (is_heaps(*viewed_)) entries.push_back({entry.name, entry.ino, entry.type, place});
      return;
    }
    if (entry.type != S_IFREG) {
      entries.push_back({entry.name, number_of_view(entry.ino, kDirectory), entry.type, place});
      return;
    }
    const auto node = viewed_->lookup(caller_, entry.name);
    const auto buffer = node ? std::dynamic_pointer_cast<BufferFile>(*node) : nullptr;
    if (!buffer) return;
    const bool is_picture = showable(*buffer).has_value();
    for (size_t kind = is_picture ? 0 : 1; kind < kViewSuffixes.size(); ++kind) {
      // The last one has the entry's place, the others those before it.
      const uint64_t own = place - (kViewSuffixes.size() - 1 - kind);
      if (own > after)
        entries.push_back(
            {entry.name + std::string(kViewSuffixes[kind]), number_of_view(entry.ino, kind), S_IFREG, own});
    }
  }

  const NodePtr viewed_;
  const std::unique_ptr<OpenDirectory> names_;
  const Caller caller_;
};

Result<std::unique_ptr<OpenDirectory>> ViewDirectory::opendir(const Caller& caller) {
  const NodePtr viewed = TRY(alive());
  auto names = TRY(viewed->opendir(caller));
  return std::make_unique<ViewListing>(viewed, std::move(names), caller);
}

}  // namespace

NodePtr make_views_root(MountContext& context, const std::shared_ptr<HeapsRoot>& heaps,
                        const NodePtr& parent) {
  return std::make_shared<ViewDirectory>(context, number_of_view(heaps->ino(), kDirectory),
                                         std::make_shared<ViewNodes>(), heaps, parent);
}

}  // namespace dmabuffs
