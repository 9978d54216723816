// SPDX-License-Identifier: MIT
/// Directories in which users make nothing.
#pragma once
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

/// A directory whose names are fixed when the mount is made: the root, and files/.
class StaticDirectory : public Node {
 public:
  StaticDirectory(MountContext& context, uint64_t ino, const NodePtr& parent);
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

/// The listing of a directory in which users make nothing, so a short one: made at the start and kept.
class FixedListing : public OpenDirectory {
 public:
  using Make = std::function<std::vector<DirectoryEntry>()>;
  explicit FixedListing(Make make) : make_(std::move(make)) {}
  Result<std::vector<DirectoryEntry>> list(uint64_t after) override;

 private:
  const Make make_;
  std::vector<DirectoryEntry> entries_;
};

/// df of the mount: its size, what buffers hold, what is left.
struct statvfs budget_statvfs(MountContext& context);

}  // namespace dmabuffs
