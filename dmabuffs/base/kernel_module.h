// SPDX-License-Identifier: MIT
/// The kernel module dmabuf_file (docs/kernel.md), where it is loaded.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// Thread-safe.
class KernelModule {
 public:
  /// Asks the device; without it, or with one of a version this program does not know, nothing is available.
  /// It is asked again later, once a second at most, since a mount may be older than the module that is
  /// loaded. Once there the module stays: it can't be removed while this has its device open.
  explicit KernelModule(std::string device = "/dev/dmabuf_file");

  [[nodiscard]] bool can_transfer() const { return (features() & kTransfer) != 0; }
  [[nodiscard]] bool can_allocate() const { return (features() & kAllocate) != 0; }
  [[nodiscard]] bool can_load() const { return (features() & kLoad) != 0; }
  [[nodiscard]] bool can_open() const { return (features() & kOpen) != 0; }
  /// Whether its files take writes beyond their dma-buf.
  [[nodiscard]] bool has_room() const { return (features() & kRoom) != 0; }
  /// Why can_transfer() is false, and the remedy; empty when it is true.
  [[nodiscard]] std::string why_not() const;
  /// Whether there is a module, but none this program can use, whoever runs it.
  [[nodiscard]] bool is_unfit() const;

  struct Range {
    int dmabuf;  ///< open for reading and writing
    uint64_t dmabuf_offset;
    int file;  ///< a regular file or block device, open for what is asked
    uint64_t file_offset;
    uint64_t length;  ///< bytes
  };
  struct Transferred {
    uint64_t bytes = 0;   ///< from the start of the range on
    bool direct = false;  ///< all of them were eligible for direct I/O
    int error = 0;        ///< an errno, if nothing could be moved
  };
  /// Moves bytes by direct I/O in the kernel. Fewer than asked: the file ended, a signal came, or an error
  /// the next call meets. EOPNOTSUPP: not with this dma-buf or this file. EINVAL: not aligned as the file
  /// needs it.
  [[nodiscard]] Transferred read_file(const Range& range) const;
  [[nodiscard]] Transferred write_file(const Range& range) const;
  /// A dma-buf of the module's own exporter, all zero, open for reading and writing. ENOMEM.
  [[nodiscard]] Result<UniqueFd> allocate(uint64_t bytes) const;

  struct Loaded {
    UniqueFd dmabuf;      ///< open for reading and writing
    uint64_t bytes = 0;   ///< of the file; fewer than asked where it ended. What follows is zero.
    bool direct = false;  ///< all of them were eligible for direct I/O
  };
  /// A dma-buf of the module's own exporter that holds `length` bytes of a file, or what there is of them. A
  /// signal ends it: EINTR, and there is none. EOPNOTSUPP, EINVAL: not from this file by direct I/O, or not
  /// from this offset.
  [[nodiscard]] Result<Loaded> load(int file, uint64_t offset, uint64_t length) const;

  /// Whether a file can show dma-bufs of the exporter called `exporter`, which `sample` makes one of. Asked
  /// once; without a sample it is asked again.
  [[nodiscard]] bool can_show(const std::string& exporter, const std::function<Result<int>()>& sample) const;
  /// A regular file that shows no dma-buf yet. It takes `room` bytes that are written beyond its dma-buf, or
  /// while there is none; they wait for bind_keeping().
  [[nodiscard]] Result<UniqueFd> open_file(uint64_t room = 0) const;
  /// Has such a file show the first `length` bytes of `dmabuf`, or with -1 and 0 nothing; for what it shows
  /// already it only changes the length. EBUSY: it was mapped, so what it shows has to stay. EOPNOTSUPP: not
  /// with this dma-buf.
  [[nodiscard]] Result<void> bind_file(int file, int dmabuf, uint64_t length) const;

  enum class Shown {
    Whole,   ///< also what lies beyond the file's length: it can be mapped
    Hidden,  ///< as far as the file goes; what lies beyond it is zeroed when it is bound as Whole
    Full,    ///< Whole, and nothing is written beyond it
  };
  /// The same, but the file keeps the bytes it has, which are copied unless it shows `dmabuf` already, and is
  /// `length` bytes long at least: what is added is zeroed, or with `filled` is there already. Returns the
  /// length. ENOSPC: `dmabuf` is smaller than what is kept.
  [[nodiscard]] Result<uint64_t> bind_keeping(int file, int dmabuf, uint64_t length, Shown shown,
                                              bool filled = false) const;

 private:
  static constexpr uint64_t kTransfer = 1, kAllocate = 2, kLoad = 4, kOpen = 8, kRoom = 32;
  [[nodiscard]] Transferred transfer(const Range& range, uint32_t flags) const;

  /// Asks the device where it is time to.
  uint64_t features() const;
  /// Sets device_ and features_, or why_not_ and unfit_. With mutex_ held, but in the constructor.
  void ask() const;

  const std::string path_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, bool> shows_;  // by exporter
  mutable std::chrono::steady_clock::time_point asked_{};
  mutable std::string why_not_;
  mutable bool unfit_ = false;
  mutable UniqueFd device_;  // set before features_, never changed after
  mutable std::atomic<uint64_t> features_{0};
};

}  // namespace dmabuffs
