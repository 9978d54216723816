// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/heaps/entry.h"

#include "dmabuffs/tree/attributes.h"
#include "dmabuffs/tree/heaps/directory.h"
#include "dmabuffs/tree/static_directory.h"

namespace dmabuffs {

void HeapEntry::placed(const std::shared_ptr<HeapDirectory>& parent, const std::string& name) {
  const std::lock_guard lock(mutex_);
  parent_ = parent;
  name_ = name;
  linked_ = true;
  attributes_.touch_change();
  record();
}

void HeapEntry::unlinked() {
  const std::lock_guard lock(mutex_);
  linked_ = false;
  attributes_.touch_change();
  if (context_.keeper) context_.keeper->remove(ino());
}

void HeapEntry::record() {
  const auto parent = parent_.lock();
  if (!context_.keeper || !linked_ || !parent || parent->heap()->kind() == HeapKind::Import) return;
  KeptEntry entry = parent->entry_for(ino(), name_, attributes_, share_.uid());
  describe(entry);
  context_.keeper->put(std::move(entry));
}

std::string HeapEntry::path() const {
  std::shared_ptr<HeapDirectory> parent;
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    if (!linked_) return {};
    parent = parent_.lock();
    name = name_;
  }
  return parent ? parent->path() + "/" + name : std::string();
}

NodePtr HeapEntry::parent() const {
  const std::lock_guard lock(mutex_);
  return linked_ ? NodePtr(parent_.lock()) : nullptr;
}

Result<struct statvfs> HeapEntry::statfs(const Caller&) {
  return budget_statvfs(context_);
}

Result<struct stat> HeapLink::getattr(const Caller&, OpenFile*) {
  const std::lock_guard lock(mutex_);
  struct stat st = attributes_.to_stat(ino(), linked_ ? 1 : 0);
  st.st_size = static_cast<off_t>(target_.size());
  return st;
}

Result<void> HeapLink::setattr(const Caller&, const AttributeChange& change, OpenFile*) {
  const std::lock_guard lock(mutex_);
  attributes_.apply(change, 0777);
  record();
  return {};
}

}  // namespace dmabuffs
