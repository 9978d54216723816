// SPDX-License-Identifier: MIT
/// What the mount shows: nodes (an inode each) and open files. The session (fuse/) turns each FUSE
/// request into one call on a node or open file; the parts of the tree (heaps, files, status) implement them.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/transfer/end.h"
#include "dmabuffs/tree/known_picture.h"

namespace dmabuffs {

/// Who asks: the request's credentials.
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;  ///< 0: a process of another pid namespace
  mode_t umask = 0;
};

class Node;
class OpenFile;
using NodePtr = std::shared_ptr<Node>;
using OpenPtr = std::shared_ptr<OpenFile>;

/// What setattr is asked to change; unset: leave alone.
struct AttributeChange {
  std::optional<mode_t> mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<uint64_t> size;
  std::optional<struct timespec> atime, mtime;  ///< tv_nsec UTIME_NOW allowed
};

struct DirectoryEntry {
  std::string name;
  uint64_t ino = 0;    ///< of "." and ".." nobody asks
  mode_t type = 0;     ///< S_IFDIR, S_IFREG, …
  uint64_t place = 0;  ///< in the listing, never 0
};

/// An open regular file. Calls may come on several threads at once.
class OpenFile {
 public:
  virtual ~OpenFile() = default;
  virtual Result<size_t> read(uint64_t offset, std::span<std::byte> to) = 0;
  /// As read, which may take long: EINTR once this is cancelled.
  virtual Result<size_t> read_until(const CancelToken& /*cancelled*/, uint64_t offset,
                                    std::span<std::byte> to) {
    return read(offset, to);
  }
  /// As Buffer::view: shows the bytes where they lie; false: use read().
  virtual Result<bool> view(uint64_t /*offset*/, size_t /*length*/, const Look&) { return false; }
  virtual Result<size_t> write(uint64_t offset, std::span<const std::byte> from);
  /// fcntl(2) may set and take O_APPEND after the open; each write tells what holds.
  virtual void set_append(bool /*append*/) {}
  /// A close(2) of one of its descriptors; errors reach the caller.
  virtual Result<void> flush() { return {}; }
  virtual Result<void> fsync(bool /*data_only*/) { return {}; }
  virtual Result<void> fallocate(int mode, uint64_t offset, uint64_t length);
  /// SEEK_DATA, SEEK_HOLE. EINVAL: nobody knows; programs read it all then.
  virtual Result<uint64_t> lseek(uint64_t offset, int whence);
  /// True when read/write (of bytes up to `end`) would wait now.
  [[nodiscard]] virtual bool would_block(Access, uint64_t /*end*/ = 0) const { return false; }
  /// This file as an end of a transfer. `access` says what the transfer does with it.
  virtual Result<End> transfer_end(Access access) = 0;
  /// What picture is known to be in it.
  [[nodiscard]] virtual std::optional<KnownPicture> picture() const { return std::nullopt; }
  /// A copy from its start to its start begins, of a file of which `known` is known.
  virtual void copied_from(const std::optional<KnownPicture>& /*known*/) {}
  /// The descriptor FUSE passthrough may back this open with; -1: none. Asked once, at open.
  [[nodiscard]] virtual int passthrough_fd() const { return -1; }
  /// With passthrough: whether reads and writes come to the daemon all the same, and only mappings pass it.
  [[nodiscard]] virtual bool only_maps_pass() const { return false; }
  /// The kernel must not cache (FOPEN_DIRECT_IO): true for buffers and `status`.
  [[nodiscard]] virtual bool direct_io() const { return true; }
};

/// An open directory. It keeps no listing: a place stays where it is, so that entries neither double nor
/// vanish for a reader while others create and remove.
class OpenDirectory {
 public:
  virtual ~OpenDirectory() = default;
  /// The next few entries after a place (0: from the start); none: that was all. One call at a time.
  virtual Result<std::vector<DirectoryEntry>> list(uint64_t after) = 0;
  virtual Result<void> fsync() { return {}; }
};

/// An inode of the mount. Owned by the node table while the kernel knows it (lookup count) and by its room.
/// Defaults refuse: EPERM for changes to a read-only room, ENOTDIR/ENOENT for lookups, ENODATA/ENOTSUP for
/// xattrs.
class Node : public std::enable_shared_from_this<Node> {
 public:
  explicit Node(uint64_t ino) : ino_(ino) {}
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// FUSE node id and st_ino (in files/ st_ino is another: a node's id ends with it, a file's number does
  /// not).
  [[nodiscard]] uint64_t ino() const { return ino_; }
  /// st_ino as programs see it, where that is not the node id.
  [[nodiscard]] virtual uint64_t shown_ino() const { return ino_; }
  /// Seconds the kernel may keep the attributes / the name (as an entry of its directory).
  [[nodiscard]] virtual double timeout() const { return 0; }
  [[nodiscard]] virtual double name_timeout() const { return timeout(); }
  /// Those of what has just been made: who makes a file looks at it next.
  [[nodiscard]] virtual double new_timeout() const { return timeout(); }

  /// Requests to it and its open files are answered by others (the host's file systems), or take long: any
  /// may wait, and for as long as those like.
  [[nodiscard]] virtual bool asks_others() const { return false; }
  /// A directory that applies the caller's umask to what is made in it.
  [[nodiscard]] virtual bool applies_umask() const { return false; }

  virtual Result<struct stat> getattr(const Caller&, OpenFile* open) = 0;
  virtual Result<void> setattr(const Caller&, const AttributeChange&, OpenFile* open);
  virtual Result<std::string> readlink(const Caller&);
  virtual Result<OpenPtr> open(const Caller&, int flags);
  /// The directory it is in; nullptr for the root and for an unlinked node.
  [[nodiscard]] virtual NodePtr parent() const { return nullptr; }

  // Directories.
  virtual Result<NodePtr> lookup(const Caller&, const std::string& name);
  /// Seconds the kernel may keep that a name is not there.
  [[nodiscard]] virtual double absence_timeout() const { return 0; }
  virtual Result<std::unique_ptr<OpenDirectory>> opendir(const Caller&);
  struct Created {
    NodePtr node;
    OpenPtr open;
  };
  virtual Result<Created> create(const Caller&, const std::string& name, mode_t mode, int flags);
  virtual Result<NodePtr> mknod(const Caller&, const std::string& name, mode_t mode, dev_t device);
  virtual Result<NodePtr> mkdir(const Caller&, const std::string& name, mode_t mode);
  virtual Result<NodePtr> symlink(const Caller&, const std::string& target, const std::string& name);
  virtual Result<NodePtr> link(const Caller&, Node& existing, const std::string& name);
  virtual Result<void> unlink(const Caller&, const std::string& name);
  virtual Result<void> rmdir(const Caller&, const std::string& name);
  /// `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE. EXDEV across heaps and trees.
  virtual Result<void> rename(const Caller&, const std::string& name, Node& new_parent,
                              const std::string& new_name, unsigned flags);
  virtual Result<struct statvfs> statfs(const Caller&);

  virtual Result<std::string> getxattr(const Caller&, const std::string& name);
  virtual Result<std::vector<std::string>> listxattr(const Caller&);
  virtual Result<void> setxattr(const Caller&, const std::string& name, const std::string& value, int flags);
  virtual Result<void> removexattr(const Caller&, const std::string& name);

  /// The kernel has forgotten it.
  virtual void forgotten() {}

 private:
  uint64_t ino_;
};

/// "." and "..", as far as they come after a place: theirs are 1 and 2.
std::vector<DirectoryEntry> dots_after(uint64_t after);

/// Numbers for new nodes; 1 is the root. Never used again in
/// a mount's life, so generations are not needed.
class InodeNumbers {
 public:
  explicit InodeNumbers(uint64_t first = 2) : next_(first) {}
  uint64_t next() { return next_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> next_;
};

}  // namespace dmabuffs
