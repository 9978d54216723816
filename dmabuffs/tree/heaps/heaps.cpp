// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/heaps/heaps.h"

#include <map>
#include <mutex>
#include <set>

#include "dmabuffs/heap/import_heap.h"
#include "dmabuffs/tree/attributes.h"
#include "dmabuffs/tree/heaps/directory.h"
#include "dmabuffs/tree/static_directory.h"

namespace dmabuffs {

namespace {

constexpr const char* kCma = "cma";

/// heaps/cma: a link to the heap that is meant.
class CmaLink : public Node {
 public:
  explicit CmaLink(MountContext& context) : Node(context.numbers.next()), context_(context) {}

  [[nodiscard]] double timeout() const override { return 1; }
  Result<struct stat> getattr(const Caller&, OpenFile*) override {
    struct stat st = Attributes{context_.owner_uid, context_.owner_gid, S_IFLNK | 0777}.to_stat(ino(), 1);
    st.st_size = static_cast<off_t>(context_.heaps->cma().size());
    return st;
  }
  Result<std::string> readlink(const Caller&) override {
    std::string heap = context_.heaps->cma();
    if (heap.empty()) return fail(ENOENT, "heaps/cma: this machine has no CMA heap any more");
    return heap;
  }

 private:
  MountContext& context_;
};

/// heaps/: the heap "import", and those of the registry, which is asked anew at each listing and lookup. A
/// heap whose device is gone stays while buffers are in it.
class Heaps : public HeapsRoot {
 public:
  explicit Heaps(MountContext& context)
      : HeapsRoot(context.numbers.next()),
        context_(context),
        made_(time_now()),
        import_(std::make_shared<ImportHeap>(context.budget)),
        cma_(std::make_shared<CmaLink>(context)) {}

  [[nodiscard]] double timeout() const override { return 1; }

  Result<struct stat> getattr(const Caller&, OpenFile*) override {
    const std::lock_guard lock(mutex_);
    Attributes attributes{context_.owner_uid, context_.owner_gid, S_IFDIR | 0755, made_, made_, made_};
    return attributes.to_stat(ino(), 2 + directories_.size());
  }

  Result<NodePtr> lookup(const Caller&, const std::string& name) override {
    const auto heap = name == ImportHeap::kName ? import_ : context_.heaps->find(name);
    if (name == kCma && !heap && !context_.heaps->cma().empty()) return cma_;
    const std::lock_guard lock(mutex_);
    auto directory = directory_of(name, heap);
    if (!directory) return fail(ENOENT, "heaps/" + name + ": no such heap on this machine");
    return NodePtr(directory);
  }

  Result<std::unique_ptr<OpenDirectory>> opendir(const Caller&) override {
    return std::make_unique<FixedListing>([self = shared_from_this(), this] { return entries(); });
  }

  Result<struct statvfs> statfs(const Caller&) override { return budget_statvfs(context_); }

  void each_buffer(const std::function<void(BufferFile&)>& visit) override {
    std::map<std::string, std::shared_ptr<HeapDirectory>> directories;
    {
      const std::lock_guard lock(mutex_);
      directories = directories_;
    }
    for (const auto& [name, directory] : directories) directory->each_buffer(visit);
  }

 private:
  std::vector<DirectoryEntry> entries() {
    auto found = context_.heaps->scan();
    std::erase_if(found, [](const auto& heap) { return heap->name() == ImportHeap::kName; });
    found.push_back(import_);
    const bool has_cma = !context_.heaps->cma().empty();
    const std::lock_guard lock(mutex_);
    std::set<std::string> there;
    for (const auto& heap : found) {
      directory_of(heap->name(), heap);
      there.insert(heap->name());
    }
    std::vector<DirectoryEntry> entries;
    for (auto at = directories_.begin(); at != directories_.end();) {
      if (!there.contains(at->first) && at->second->retire()) {
        at = directories_.erase(at);
        continue;
      }
      entries.push_back({at->first, at->second->ino(), S_IFDIR});
      ++at;
    }
    if (has_cma) entries.push_back({kCma, cma_->ino(), S_IFLNK});
    return entries;
  }

  /// The directory of a heap that is there, or was and still has buffers; nullptr otherwise.
  std::shared_ptr<HeapDirectory> directory_of(const std::string& name, const std::shared_ptr<Heap>& heap) {
    const auto known = directories_.find(name);
    if (known != directories_.end()) {
      if (heap == known->second->heap() || !known->second->retire()) return known->second;
      directories_.erase(known);
    }
    if (!heap) return nullptr;
    auto tree = std::shared_ptr<HeapTree>(new HeapTree{context_, heap});
    return directories_[name] = std::make_shared<HeapDirectory>(tree, weak_from_this());
  }

  MountContext& context_;
  struct timespec made_;
  const std::shared_ptr<Heap> import_;  ///< hides a dma-heap of that name
  const NodePtr cma_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<HeapDirectory>> directories_;
};

}  // namespace

std::shared_ptr<HeapsRoot> make_heaps_root(MountContext& context) {
  return std::make_shared<Heaps>(context);
}

}  // namespace dmabuffs
