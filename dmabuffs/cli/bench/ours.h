// SPDX-License-Identifier: MIT
/// The product's own ways: its Engine and Transfer, as the mount has them, and `cp` in a mount.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "dmabuffs/base/child_process.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/cli/bench/process.h"
#include "dmabuffs/cli/mount/private_mount.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/transfer/engine.h"

namespace dmabuffs::cli::bench {

/// What a daemon has, without one.
struct Ours {
  Budget budget{{uint64_t{1} << 50, 0, ::getuid()}};
  Recycler recycler{uint64_t{1} << 50};
  std::unique_ptr<HeapRegistry> heaps;
  Engine engine{{}};
};

/// Why `heap` gives this user no memory that a CPU can fill; empty: it does.
std::string why_no_buffer(Heap& heap);

enum class Load { First, Recycled };
/// FILE into new buffers of a heap; Recycled: into the memory of removed ones.
std::unique_ptr<Attempt> by_engine(Ours& ours, std::shared_ptr<Heap> heap, Load load, const Cut& cut,
                                   const BenchFile& source, Stop& stop);
/// Buffers of a heap into `scratch`.
std::unique_ptr<Attempt> write_by_engine(Ours& ours, std::shared_ptr<Heap> heap, const Cut& cut,
                                         const BenchFile& scratch, Stop& stop);

/// A mount that only this process and its children see, and that ends with it.
class BenchMount {
 public:
  /// Of the heaps named, with the directory of `file`, an absolute path. Call while there is but one thread
  /// and no signal is blocked.
  static Result<std::unique_ptr<BenchMount>> make(const std::string& file,
                                                  const std::vector<std::string>& heaps);
  ~BenchMount();
  BenchMount(const BenchMount&) = delete;
  BenchMount& operator=(const BenchMount&) = delete;

  [[nodiscard]] const std::string& path() const { return scratch_.path(); }
  /// FILE, seen in it.
  [[nodiscard]] const std::string& file() const { return file_; }
  /// CPU seconds that its daemon has worked.
  [[nodiscard]] double cpu_seconds() const;

 private:
  BenchMount(ScratchDirectory scratch, ReadySocket ready)
      : scratch_(std::move(scratch)), ready_(std::move(ready)) {}

  ScratchDirectory scratch_;
  ReadySocket ready_;
  ChildProcess daemon_;
  std::string file_;
};
/// cp(1) of FILE into a new file of a heap: the whole process, and what the daemon does for it.
std::unique_ptr<Attempt> by_cp(const BenchMount& mount, const std::string& heap, Stop& stop);

}  // namespace dmabuffs::cli::bench
