// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "dmabuffs/transfer/copy.h"
#include "dmabuffs/transfer/file_systems.h"
#include "dmabuffs/transfer/planner.h"

namespace dmabuffs {

/// One piece between a file and memory: has it planned, runs the parts, and plans the rest again when a path
/// turns out not to work here.
class FilePiece {
 public:
  struct Setting {
    FileEnd& file;
    uint64_t file_offset;
    bool to_buffer;
    bool require_direct;
    const CancelToken* cancel;
  };
  struct Target {
    std::span<std::byte> memory;
    const Lease* lease;
    std::string not_pinnable_reason;  ///< empty: O_DIRECT may reach it
    DmabufRange dmabuf;               ///< behind the memory, if there is one
  };
  FilePiece(Workshop& shop, FileSystems& known, const Setting& setting, Target target);

  Outcome run();

  /// What would be refused of such a piece by require_direct before its memory is known, or empty.
  static std::string refusal(const KernelModule& module, const Setting& setting, uint64_t memory_offset,
                             uint64_t length, const std::string& not_pinnable_reason);
  /// Whether the body of such a piece goes by the kernel module, to a dma-buf from its start.
  static bool goes_by_kernel(Workshop& shop, FileSystems& known, const Setting& setting, uint64_t length,
                             const std::string& not_pinnable_reason);
  /// What comes of a piece that the kernel module has moved in one go.
  static Outcome moved_by_kernel(uint64_t bytes, bool direct);
  /// The error of a refused piece.
  static Error refused(const FileEnd& file, const std::string& why);

 private:
  [[nodiscard]] Situation situation() const;
  bool run_parts(const Plan& plan);
  bool explain_shortfall(const Part& part, const Moved& moved);
  std::string distrust(const Part& part);
  static std::string why_distrusted(Workshop& shop, FileSystems& known, const Setting& setting,
                                    uint64_t offset);
  Moved run_part(const Part& part);

  Workshop& shop_;
  FileSystems& known_;
  const Setting setting_;
  const int direct_fd_;  // taken once: another copy may deny direct I/O on the file meanwhile
  Target target_;
  std::string not_by_kernel_;  // why the kernel module can't reach the memory
  bool cache_is_faster_ = false;
  std::string came_short_;  // why the rest goes buffered although the file does direct I/O
  Outcome outcome_;
};

}  // namespace dmabuffs
