// SPDX-License-Identifier: MIT
/// A whole copy, from what was asked to the last byte: what copy_file_range, the control socket and whoever
/// else copies calls.
#pragma once
#include <functional>

#include "dmabuffs/transfer/engine.h"

namespace dmabuffs {

/// How long the next piece may be so that it takes about a second: starts at 64 MiB, follows the rate.
class PieceSize {
 public:
  [[nodiscard]] uint64_t next() const { return bytes_; }
  void took(uint64_t bytes, double seconds);

 private:
  uint64_t bytes_ = 64u << 20;
};

class Transfer {
 public:
  /// All of `copy.length` bytes. Borrows the engine.
  Transfer(Engine& engine, Copy copy) : engine_(engine), copy_(std::move(copy)) {}

  /// For a caller who sees one copy_file_range of `length` bytes only, of a source that has `left` bytes from
  /// its offset on: a copy arrives in several requests, one for each extent of a sparse source, or as the
  /// caller cuts it. So the memory is that of the whole source from the first one on, or each request would
  /// move all that came before. What is too much goes back when the file is closed.
  static Transfer of_request(Engine& engine, Copy copy, uint64_t length, uint64_t left);

  /// EIO, with the reason: a direct transfer is required and would be refused, before anything is moved. A
  /// copy of no bytes asks about `there`, all that there are.
  [[nodiscard]] Result<void> check_direct(uint64_t there) const;
  /// Moves the next piece, as long as `size` says, and has it learn.
  Outcome next(PieceSize& size);
  /// Moves all that is left; `each` hears of every piece. EINTR: cancelled before the end.
  void run(const std::function<void(const Outcome&)>& each);
  [[nodiscard]] uint64_t length() const { return copy_.length; }

 private:
  Outcome next(PieceSize& size, double patience);

  Engine& engine_;
  Copy copy_;
  uint64_t done_ = 0;
};

}  // namespace dmabuffs
