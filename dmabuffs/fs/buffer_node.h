// SPDX-License-Identifier: MIT
#pragma once
#include <map>
#include <mutex>
#include <string>

#include "dmabuffs/fs/attributes.h"
#include "dmabuffs/fs/freeing.h"
#include "dmabuffs/fs/heaps.h"

namespace dmabuffs {

class HeapDirectory;

/// A regular file below heaps/. Its directory keeps name and parent right (under the heap's lock).
class BufferFile : public BufferNode {
 public:
  BufferFile(MountContext& context, std::shared_ptr<Buffer> buffer, const Attributes& attributes);
  ~BufferFile() override;

  [[nodiscard]] const std::shared_ptr<Buffer>& buffer() const override { return buffer_; }
  [[nodiscard]] std::string path() const override;
  [[nodiscard]] NodePtr parent() const override;
  /// Names change through the mount only; sizes also by the control socket, so attributes are asked for each
  /// time.
  [[nodiscard]] double name_timeout() const override { return 1; }

  Result<struct stat> getattr(const Caller&, OpenFile*) override;
  Result<void> setattr(const Caller&, const AttributeChange&, OpenFile*) override;
  Result<OpenPtr> open(const Caller&, int flags) override;
  Result<struct statvfs> statfs(const Caller&) override;
  Result<std::string> getxattr(const Caller&, const std::string& name) override;
  Result<std::vector<std::string>> listxattr(const Caller&) override;
  Result<void> setxattr(const Caller&, const std::string& name, const std::string& value, int flags) override;
  Result<void> removexattr(const Caller&, const std::string& name) override;

  // For its directory.
  void placed(std::shared_ptr<HeapDirectory> parent, const std::string& name);
  void unlinked();

  // For its open files.
  void opened();
  /// One of them is about to be closed.
  void closing();
  void closed();
  void contents_changed();
  [[nodiscard]] MountContext& context() { return context_; }

 private:
  MountContext& context_;
  std::unique_ptr<Freeing::Expected> leaving_;  // ends after the buffer, so when its memory is free
  std::shared_ptr<Buffer> buffer_;
  mutable std::mutex mutex_;
  Attributes attributes_;
  std::weak_ptr<HeapDirectory> parent_;
  std::string name_;
  std::map<std::string, std::string> xattrs_;
  unsigned open_ = 0;
  bool linked_ = false;
};

}  // namespace dmabuffs
