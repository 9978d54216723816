// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/transfer.h"

#include <algorithm>
#include <chrono>

#include "dmabuffs/transfer/file_piece.h"

namespace dmabuffs {

namespace {

// The kernel cuts a longer copy_file_range to this (MAX_RW_COUNT, fs/read_write.c), so it asks for all of the
// source.
constexpr uint64_t kKernelCut = 0x7ffff000;

}  // namespace

void PieceSize::took(uint64_t bytes, double seconds) {
  constexpr uint64_t kSmallest = uint64_t{2} << 20;
  // A last, short piece says little about the rate.
  if (bytes < bytes_ / 4 && seconds < 1.0) return;
  const double a_second_of_it =
      seconds > 0 ? static_cast<double>(bytes) / seconds : static_cast<double>(kLargestPiece);
  const auto next = static_cast<uint64_t>(std::min(a_second_of_it, static_cast<double>(kLargestPiece)));
  bytes_ = std::clamp(next / kSmallest * kSmallest, kSmallest, kLargestPiece);
}

Transfer Transfer::of_request(Engine& engine, Copy copy, uint64_t length, uint64_t left) {
  copy.length = std::min(length, left);
  copy.expected_end = copy.to_offset + left;
  copy.needed_end = copy.to_offset + (length >= kKernelCut ? left : copy.length);
  return {engine, std::move(copy)};
}

Result<void> Transfer::check_direct(uint64_t there) const {
  if (!copy_.require_direct) return {};
  Copy asked = copy_;
  if (asked.length == 0) asked.length = there;
  const std::string why = engine_.not_direct(asked);
  if (why.empty()) return {};
  const FileEnd* file = copy_.from.file() != nullptr ? copy_.from.file() : copy_.to.file();
  return Failure(FilePiece::refused(*file, why));
}

Outcome Transfer::next(PieceSize& size) {
  return next(size, 1);
}

/// `patience`: the seconds a piece may take.
Outcome Transfer::next(PieceSize& size, double patience) {
  Copy piece = copy_;
  piece.from_offset += done_;
  piece.to_offset += done_;
  piece.length -= done_;
  if (!engine_.loads_at_once(piece)) piece.length = std::min(piece.length, size.next());
  const auto start = std::chrono::steady_clock::now();
  Outcome outcome = engine_.copy(piece);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  size.took(outcome.bytes, took.count() / patience);
  done_ += outcome.bytes;
  if (!outcome.error && outcome.bytes < piece.length) copy_.length = done_;  // the source has ended
  return outcome;
}

void Transfer::run(const std::function<void(const Outcome&)>& each) {
  constexpr double kPatience = 0.5;  // `each` is to hear of it twice a second
  PieceSize size;
  while (done_ < copy_.length) {
    if (copy_.cancel != nullptr && copy_.cancel->cancelled())
      return each(failure({EINTR, "copy: cancelled"}));
    const Outcome outcome = next(size, kPatience);
    each(outcome);
    if (outcome.error) return;
  }
}

}  // namespace dmabuffs
