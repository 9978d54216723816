// SPDX-License-Identifier: MIT
/// Which bytes of a piece go by which path: a pure decision, no system call.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dmabuffs/transfer/counters.h"

namespace dmabuffs {

/// All that the decision about a piece between a file and a buffer depends on.
struct Situation {
  bool to_buffer = true;          ///< file to buffer, else buffer to file
  uint64_t file_offset = 0;       ///< where the piece starts in the file
  uint64_t length = 0;            ///< bytes, within the source
  uint64_t memory_address = 0;    ///< where the piece starts in memory (only its alignment counts)
  std::string not_direct_reason;  ///< why the file has no direct I/O; empty: it has
  uint32_t offset_alignment = 4096, memory_alignment = 4096;  ///< of direct I/O on the file, powers of two
  std::string not_pinnable_reason;  ///< why O_DIRECT can't reach the memory; empty: it can
  std::string not_by_kernel_reason = "there is no kernel module";  ///< empty: it can reach the memory
  uint64_t dmabuf_offset = 0;    ///< where the piece starts in the dma-buf, if the kernel module can reach it
  bool cache_is_faster = false;  ///< the source's bytes lie in the page cache and are faster from there
  bool require_direct = false;
};

struct Part {
  Path path;
  uint64_t length;
  std::string why;  ///< why not a better path; empty: there is none
};

struct Plan {
  std::vector<Part> parts;             ///< in order, without gaps, their lengths sum up to the piece's
  std::optional<std::string> refusal;  ///< require_direct, and the aligned body would not go direct: why
};

Plan plan(const Situation& situation);

/// The unit in which the body of a direct transfer is cut: the file's alignment, but no less than a page, so
/// that direct I/O never shares a page of the page cache with the buffered head or tail beside it.
uint64_t direct_unit(uint32_t offset_alignment);

}  // namespace dmabuffs
