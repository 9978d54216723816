// SPDX-License-Identifier: MIT
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/tree/attributes.h"
#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

class HeapDirectory;

/// What a directory below heaps/ holds that is no directory: a buffer or a symbolic link. Its directory keeps
/// name and parent right (under the heap's lock).
class HeapEntry : public Node {
 public:
  /// `name`: taken from its maker's share.
  HeapEntry(MountContext& context, const Attributes& attributes, Share name)
      : Node(context.numbers.next()), context_(context), share_(std::move(name)), attributes_(attributes) {}

  /// Path in the mount: "heaps/system/dir/name"; empty when unlinked.
  [[nodiscard]] std::string path() const;
  [[nodiscard]] NodePtr parent() const override;
  /// S_IFREG or S_IFLNK.
  [[nodiscard]] virtual mode_t type() const = 0;
  Result<struct statvfs> statfs(const Caller&) override;

  // For its directory.
  virtual void placed(const std::shared_ptr<HeapDirectory>& parent, const std::string& name);
  virtual void unlinked();

 protected:
  /// With mutex_: has it kept as it is.
  void record();
  /// What only its kind has.
  virtual void describe(KeptEntry& entry) const = 0;

  MountContext& context_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  Share share_;
  Attributes attributes_;
  std::weak_ptr<HeapDirectory> parent_;
  std::string name_;
  bool linked_ = false;
};

/// A symbolic link below heaps/: a name and a target, whatever that says.
class HeapLink final : public HeapEntry {
 public:
  HeapLink(MountContext& context, const Attributes& attributes, Share name, std::string target)
      : HeapEntry(context, attributes, std::move(name)), target_(std::move(target)) {}

  [[nodiscard]] mode_t type() const override { return S_IFLNK; }
  [[nodiscard]] double timeout() const override { return 1; }
  Result<struct stat> getattr(const Caller&, OpenFile*) override;
  Result<void> setattr(const Caller&, const AttributeChange&, OpenFile*) override;
  Result<std::string> readlink(const Caller&) override { return target_; }

 private:
  void describe(KeptEntry& entry) const override { entry.target = target_; }

  const std::string target_;
};

}  // namespace dmabuffs
