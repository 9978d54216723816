// SPDX-License-Identifier: MIT
/// Where buffers come from. One interface, one file per kind of heap.
#pragma once
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dmabuffs/base/cancel.h"
#include "dmabuffs/base/result.h"
#include "dmabuffs/heap/budget.h"
#include "dmabuffs/heap/storage.h"

namespace dmabuffs {

enum class HeapKind { Memfd, Udmabuf, DmaHeap, Module };
const char* to_string(HeapKind kind);  // "memfd", "udmabuf", "dma-heap", "module"

/// Owner, group and permission bits a heap directory takes from its device node.
struct HeapAccess {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t mode = 0700;  ///< directory bits: an r bit of the node gives r and x, a w bit gives w
};

class Heap {
 public:
  virtual ~Heap() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual HeapKind kind() const = 0;
  [[nodiscard]] bool is_dmabuf() const { return kind() != HeapKind::Memfd; }
  /// Read anew from the device node; ENOENT/ENODEV when it is gone.
  virtual Result<HeapAccess> access() const = 0;
  /// Why a buffer of it can't be filled by O_DIRECT into its own pages; empty when it can.
  [[nodiscard]] virtual std::string not_pinnable_reason() const { return {}; }
  /// Whether create() makes memory that can still grow (memfd, udmabuf) or all at once (dma-heap).
  [[nodiscard]] virtual bool growable() const = 0;
  /// The capacity a buffer of `size` bytes gets (page multiple; with huge pages up to 12.5 % more).
  [[nodiscard]] virtual uint64_t capacity_for(uint64_t size) const = 0;
  /// What its memory is charged to; a Buffer charges its staging memory to it too.
  [[nodiscard]] virtual Budget& budget() = 0;
  /// Memory of capacity_for(size) bytes that reads zero, charged to `uid`. Not yet populated where
  /// growable(). Errors name the heap, the reason and the remedy: ENOSPC, ENOMEM, EACCES (device node),
  /// ENODEV (it is gone), EIO.
  virtual Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) = 0;

  /// Whether this kernel shows importers that go by the CPU other bytes than are in huge pages of its memory.
  [[nodiscard]] virtual bool misleads_importers() const { return false; }
  /// As create(), but memory that every importer reads right.
  virtual Result<std::unique_ptr<Storage>> create_for_all(uint64_t size, uid_t uid) {
    return create(size, uid);
  }

  /// A range of a file, open for direct I/O.
  struct Source {
    int file;
    uint64_t offset;
    uint64_t length;  ///< bytes; offset and length as the file's direct I/O needs them, however it ends
    const CancelToken* cancel;
  };
  struct Loaded {
    std::unique_ptr<Storage> storage;
    uint64_t bytes;  ///< that the source had; what follows them is zero
    bool direct;     ///< no file system took it through its page cache
  };
  /// Whether load() works. Such a heap keeps freed memory for the next load itself.
  [[nodiscard]] virtual bool can_load() const { return false; }
  /// Memory of capacity_for(source.length) bytes, filled while it is allocated, with no path of its own to
  /// choose. EOPNOTSUPP, EINVAL: not from this source; else as create(), EINTR, or what the read failed with.
  virtual Result<Loaded> load(const Source& /*source*/, uid_t /*uid*/) {
    return fail_errno(EOPNOTSUPP, name());
  }
};

/// `--heap NAME[:key=value,...]` parsed.
struct HeapOption {
  std::string name;
  std::map<std::string, std::string> settings;  ///< huge=auto|never|always (udmabuf)
  bool if_present = false;                      ///< --heap-if-present: a machine may lack it
};

/// Where the machine's devices and settings are; other directories only in tests.
struct HeapPlaces {
  std::string dev = "/dev";
  std::string sys = "/sys";
};

/// Finds the machine's heaps. Thread-safe.
class HeapRegistry {
 public:
  /// With `only` empty every heap found is shown, else just those named. EINVAL for an unknown setting or
  /// value.
  static Result<std::unique_ptr<HeapRegistry>> make(Budget& budget, std::vector<HeapOption> only,
                                                    HeapPlaces places = {});
  virtual ~HeapRegistry() = default;
  /// Looks anew: memfd, udmabuf when /dev/udmabuf is there, direct with the kernel module, one a node of
  /// /dev/dma_heap. A Heap object stays the same while its node is there. Sorted by name.
  virtual std::vector<std::shared_ptr<Heap>> scan() = 0;
  /// nullptr when there is none of that name (looks anew).
  virtual std::shared_ptr<Heap> find(const std::string& name) = 0;
  /// Names asked for by --heap that the machine lacks.
  virtual std::vector<std::string> missing() = 0;
};

}  // namespace dmabuffs
