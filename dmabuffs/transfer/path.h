// SPDX-License-Identifier: MIT
/// The ways that bytes go, and the table of those between a file and a buffer: what a way needs, and who goes
/// it. The planner walks the table; doctor, status and the replies name its rows.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "dmabuffs/base/range.h"

namespace dmabuffs {

enum class Path { KernelDirect, PinnedDirect, BounceDirect, Buffered, MemoryCopy, FileCopy };
inline constexpr size_t kPathCount = 6;
/// "kernel-direct", "pinned-direct", "bounce-direct", "buffered", "memory-copy" (buffer to buffer),
/// "file-copy" (file to file: the host's copy_file_range).
const char* to_string(Path path);

using PathBytes = std::array<uint64_t, kPathCount>;

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

struct FilePart;
struct Moved;
struct Workshop;

/// A way between a file and a buffer. A new one is a file that moves parts, and a row of file_paths().
struct FilePath {
  Path path;
  bool direct;  ///< between the file and the memory's own pages: what require_direct asks for
  /// Why it can't move the whole blocks of a piece, cut as `split` says; empty: it can. Asks nobody.
  std::string (*why_not)(const Situation& now, const Split& split);
  Moved (*read)(Workshop& shop, const FilePart& part);   ///< file to memory
  Moved (*write)(Workshop& shop, const FilePart& part);  ///< memory to file
};
/// The best first; the last one always goes.
std::span<const FilePath> file_paths();
/// The row of `path`.
const FilePath& file_path(Path path);

/// The unit in which the body of a direct transfer is cut: the file's alignment, but no less than a page, so
/// that direct I/O never shares a page of the page cache with the buffered head or tail beside it.
uint64_t direct_unit(uint32_t offset_alignment);

}  // namespace dmabuffs
