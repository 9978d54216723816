// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/path.h"

#include <algorithm>

#include "dmabuffs/transfer/file_part.h"

namespace dmabuffs {
namespace {

/// What is wrong with where the piece lies; `start`: its first byte in the memory.
std::string misplaced(const Situation& now, const Split& split, uint64_t start) {
  if (split.body == 0) return "unaligned head or tail";
  if ((start + split.head) % now.memory_alignment == 0) return "";
  return "the offset in the buffer is not aligned as the offset in the file is";
}

std::string not_pinned(const Situation& now, const Split& split) {
  const std::string where = misplaced(now, split, now.memory_address);
  return where.empty() ? now.not_pinnable_reason : where;
}

std::string not_by_kernel(const Situation& now, const Split& split) {
  const std::string where = misplaced(now, split, now.dmabuf_offset);
  return where.empty() ? now.not_by_kernel_reason : where;
}

std::string always(const Situation&, const Split&) {
  return "";
}

constexpr std::array kFilePaths{
    FilePath{Path::PinnedDirect, true, not_pinned, read_pinned, write_pinned},
    FilePath{Path::KernelDirect, true, not_by_kernel, read_by_kernel, write_by_kernel},
    FilePath{Path::BounceDirect, false, always, read_bounced, write_bounced},
    FilePath{Path::Buffered, false, always, read_buffered, write_buffered},
};

}  // namespace

std::span<const FilePath> file_paths() {
  return kFilePaths;
}

const FilePath& file_path(Path path) {
  return *std::ranges::find(kFilePaths, path, &FilePath::path);
}

const char* to_string(Path path) {
  switch (path) {
    case Path::KernelDirect:
      return "kernel-direct";
    case Path::PinnedDirect:
      return "pinned-direct";
    case Path::BounceDirect:
      return "bounce-direct";
    case Path::Buffered:
      return "buffered";
    case Path::MemoryCopy:
      return "memory-copy";
    case Path::FileCopy:
      return "file-copy";
  }
  return "unknown";
}

uint64_t direct_unit(uint32_t offset_alignment) {
  return std::max<uint64_t>(offset_alignment, kPage);
}

}  // namespace dmabuffs
