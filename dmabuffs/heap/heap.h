// SPDX-License-Identifier: MIT
/// Where buffers come from, and the memory they are made of. One file for each kind of heap.
#pragma once
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dmabuffs/base/cancel.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/budget.h"

namespace dmabuffs {

/// The memory behind a buffer: what a heap makes, and a Buffer holds and may replace.
class Storage {
 public:
  virtual ~Storage() = default;

  /// Bytes held; a multiple of the page size.
  [[nodiscard]] virtual uint64_t capacity() const = 0;
  /// The dma-buf's descriptor, owned by the storage; -1 before publish() and for memory that never is one.
  [[nodiscard]] virtual int dmabuf_fd() const = 0;
  /// True when O_DIRECT may target map(): ordinary pages, not a PFNMAP.
  [[nodiscard]] virtual bool pinnable() const = 0;
  /// True while resize() can work: the pages are not yet fixed by a dma-buf.
  [[nodiscard]] virtual bool growable() const = 0;
  /// Makes it hold `capacity` bytes (a page multiple); what is kept keeps its bytes, what is new reads zero
  /// (and is not allocated before it is touched or populated). The mapping may move: no span of map() may be
  /// in use.
  virtual Result<void> resize(uint64_t capacity) = 0;
  /// Fixes the pages and makes the dma-buf; does nothing where it exists or there is none. Unpopulated pages
  /// are allocated here, by one thread. Errors: ENOMEM, or EIO with the remedy (udmabuf's size_limit_mb,
  /// list_limit).
  virtual Result<void> publish(const std::string& name) = 0;
  /// The CPU's view of [0, capacity()), mapped on first use and valid until unmap() or resize(). Thread-safe.
  virtual Result<std::span<std::byte>> map() = 0;
  /// Makes the pages of `part`, which lies in map(), as quickly as this memory can have them. Thread-safe.
  /// ENOMEM.
  virtual Result<void> populate(std::span<std::byte> part) { return dmabuffs::populate(part); }
  /// Drops the mapping (address space and page tables are the daemon's); the next map() makes it again.
  virtual void unmap() = 0;
  /// Of what is published: a descriptor for others.
  [[nodiscard]] virtual Result<UniqueFd> hand_out() const;
  /// Of what was handed out: whether anybody else holds it, by a descriptor, a mapping or an import. `own`:
  /// how many do for this daemon beside dmabuf_fd() and map(), which is dropped where it might be taken for
  /// one.
  [[nodiscard]] virtual bool held_by_others(unsigned own = 0);
  /// Bytes of it in huge pages, for `info`.
  [[nodiscard]] virtual uint64_t huge_bytes() const { return 0; }
};

enum class HeapKind { Memfd, Udmabuf, DmaHeap, Module, Drm, Import };
const char* to_string(HeapKind kind);  // "memfd", "udmabuf", "dma-heap", "module", "drm", "import"

/// Owner, group and permission bits a heap directory takes from its device node.
struct HeapAccess {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t mode = 0700;  ///< directory bits: an r bit of the node gives r and x, a w bit gives w
};

class Heap {
 public:
  virtual ~Heap() = default;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] HeapKind kind() const { return kind_; }
  [[nodiscard]] bool is_dmabuf() const { return kind_ != HeapKind::Memfd; }
  /// Whether create() makes memory that can still grow (memfd, udmabuf) or all at once.
  [[nodiscard]] bool growable() const { return kind_ == HeapKind::Memfd || kind_ == HeapKind::Udmabuf; }
  /// What its memory is charged to; a Buffer charges its staging memory to it too.
  [[nodiscard]] Budget& budget() { return budget_; }
  /// Read anew from the device node; ENOENT/ENODEV when it is gone. Without one: the daemon's user and group,
  /// and everyone may make buffers (1777, as for /tmp).
  [[nodiscard]] Result<HeapAccess> access() const;
  /// Why a buffer of it can't be filled by O_DIRECT into its own pages; empty when it can.
  [[nodiscard]] std::string not_pinnable_reason() const;
  /// The capacity a buffer of `size` bytes gets (page multiple; with huge pages up to 12.5 % more).
  [[nodiscard]] virtual uint64_t capacity_for(uint64_t size) const { return round_up(size, kPage); }
  /// Memory of capacity_for(size) bytes that reads zero, charged to `uid`. Not yet populated where
  /// growable(). Errors name the heap, the reason and the remedy: ENOSPC, ENOMEM, EACCES (device node),
  /// ENODEV (it is gone), EIO.
  virtual Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) = 0;
  /// As create(), for a picture in lines of `row_bytes` (0: anything), where that matters to a device.
  virtual Result<std::unique_ptr<Storage>> create_rows(uint64_t size, uint64_t /*row_bytes*/, uid_t uid) {
    return create(size, uid);
  }
  /// Bytes from one line of a picture to the next that devices take: for lines of `row_bytes`, which are
  /// `width` pixels of `bits_per_pixel`; of a plane that is no packed pixels 8 and `row_bytes`. Any machine's
  /// GPU imports multiples of 256.
  [[nodiscard]] virtual Result<uint64_t> stride_for(uint32_t row_bytes, uint32_t /*bits_per_pixel*/,
                                                    uint32_t /*width*/) {
    return round_up(uint64_t{row_bytes}, uint64_t{256});
  }
  /// EIO: no CPU may touch the memory of this heap, so what is written could never come to lie in it. May
  /// make a page of it, for `uid`, to find out.
  virtual Result<void> check_cpu(uid_t /*uid*/) { return {}; }

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

 protected:
  /// `node`: path of its device node; empty: it has none.
  Heap(Budget& budget, HeapKind kind, std::string name, std::string node = {})
      : budget_(budget), kind_(kind), name_(std::move(name)), node_(std::move(node)) {}
  [[nodiscard]] const std::string& node() const { return node_; }
  /// check_cpu() by a page of it, unless `maps` says that one was mapped before.
  Result<void> try_cpu(uid_t uid, std::atomic<bool>& maps);

 private:
  Budget& budget_;
  const HeapKind kind_;
  const std::string name_, node_;
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
  /// /dev/dma_heap, and one a node of /dev/dri that can be opened and makes dumb buffers. A Heap object stays
  /// the same while its node is there. Sorted by name.
  virtual std::vector<std::shared_ptr<Heap>> scan() = 0;
  /// The heap that "cma" is another name of: the kernel's default area, under whatever name this machine
  /// has it. Empty: there is none, or one that is really called so.
  virtual std::string cma() = 0;
  /// nullptr when there is none of that name (looks anew).
  virtual std::shared_ptr<Heap> find(const std::string& name) = 0;
  /// Names asked for by --heap that the machine lacks.
  virtual std::vector<std::string> missing() = 0;
};

}  // namespace dmabuffs
