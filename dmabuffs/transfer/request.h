// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>

#include "dmabuffs/transfer/engine.h"

namespace dmabuffs {

/// The kernel cuts a longer copy_file_range to this (MAX_RW_COUNT, fs/read_write.c), so it asks for all of
/// the source.
inline constexpr uint64_t kKernelCut = 0x7ffff000;

/// Says in `copy` where the caller's whole copy may end, of which one copy_file_range of `length` bytes is a
/// part; `left`: what the source has from its offset on. A copy arrives in several requests: one for each
/// extent of a sparse source, or as the caller cuts it. So the memory is that of the whole source from the
/// first one on, or each request would move all that came before. What is too much goes back when the file is
/// closed.
inline void expect_rest_of_source(Copy& copy, uint64_t length, uint64_t left) {
  copy.expected_end = copy.to_offset + left;
  copy.needed_end = copy.to_offset + (length >= kKernelCut ? left : std::min(length, left));
}

/// How much of `rest` is one piece.
inline uint64_t piece_length(const Engine& engine, const PieceSize& piece, const Copy& rest) {
  return engine.loads_at_once(rest) ? rest.length : std::min(rest.length, piece.next());
}

}  // namespace dmabuffs
