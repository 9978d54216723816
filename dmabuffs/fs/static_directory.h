// SPDX-License-Identifier: MIT
#pragma once
#include <map>
#include <string>

#include "dmabuffs/fs/mount.h"

namespace dmabuffs {

/// A directory whose names are fixed when the mount is made: the root, and files/.
class StaticDirectory : public Node {
 public:
  StaticDirectory(MountContext& context, uint64_t ino, NodePtr parent);
  void add(const std::string& name, NodePtr node) { children_[name] = std::move(node); }

  [[nodiscard]] double timeout() const override { return 1; }
  Result<struct stat> getattr(const Caller&, OpenFile*) override;
  Result<NodePtr> lookup(const Caller&, const std::string& name) override;
  Result<std::unique_ptr<OpenDirectory>> opendir(const Caller&) override;
  Result<struct statvfs> statfs(const Caller&) override;
  [[nodiscard]] NodePtr parent() const override { return parent_.lock(); }

 private:
  MountContext& context_;
  std::weak_ptr<Node> parent_;
  struct timespec made_;
  std::map<std::string, NodePtr> children_;
};

/// A listing made at once.
class FixedListing : public OpenDirectory {
 public:
  explicit FixedListing(std::vector<DirectoryEntry> entries) : entries_(std::move(entries)) {}
  Result<std::vector<DirectoryEntry>> list() override { return entries_; }

 private:
  std::vector<DirectoryEntry> entries_;
};

/// df of the mount: its size, what buffers hold, what is left.
struct statvfs budget_statvfs(MountContext& context);

}  // namespace dmabuffs
