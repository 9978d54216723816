// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/piece.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <vector>

namespace dmabuffs {
namespace {

/// What a smaller buffer may still get.
bool refused_for_size(int error) {
  return error == ENOSPC || error == ENOMEM || error == EFBIG || error == EBUSY;
}

/// A lease to fill `length` bytes of the destination, with memory for all that the copy will bring.
Result<std::unique_ptr<Lease>> lease_to_fill(Buffer& buffer, const Copy& copy, uint64_t length) {
  const Range window{copy.to_offset, length};
  const uint64_t expected = std::max(copy.expected_end, window.end());
  auto lease = buffer.lease(window, Access::Write, expected);
  if (lease || copy.needed_end == 0 || !refused_for_size(lease.error().code)) return lease;
  // The caller may want no more than a part of a source that would not fit.
  const uint64_t needed = std::max(copy.needed_end, window.end());
  return needed < expected ? buffer.lease(window, Access::Write, needed) : std::move(lease);
}

/// A lease to read from a buffer that may be truncated, and written anew, at the same time: then `length`
/// becomes less, perhaps 0.
Result<std::unique_ptr<Lease>> lease_for_reading(Buffer& buffer, uint64_t offset, uint64_t& length) {
  constexpr unsigned kMostTries = 8;
  for (unsigned tries = 0;;) {
    auto lease = buffer.lease({offset, length}, Access::Read, 0);
    if (lease || lease.error().code != EINVAL) return lease;  // EINVAL: the range lay beyond the end
    const uint64_t size = buffer.size();
    const uint64_t there = size > offset ? size - offset : 0;
    if (there >= length && ++tries == kMostTries) return lease;
    length = std::min(length, there);
    if (length == 0) return std::unique_ptr<Lease>();
  }
}

/// Why O_DIRECT can't reach the lease's memory; empty when it can.
std::string not_pinnable(const Buffer& buffer, const Lease& lease) {
  if (lease.pinnable()) return {};
  const std::string why = buffer.heap().not_pinnable_reason();
  return why.empty() ? "the buffer's memory can't be pinned" : why;
}

/// Makes what was moved count; what can't be committed was not stored.
void commit(Lease& lease, Outcome& outcome) {
  if (outcome.bytes == 0) return;
  auto stored = lease.commit(outcome.bytes);
  if (!stored) outcome = failure(std::move(stored.error()));
}

void count_memory_copy(Outcome& outcome, Moved moved) {
  outcome.bytes += moved.bytes;
  outcome.paths[static_cast<size_t>(Path::MemoryCopy)] += moved.bytes;
  outcome.error = std::move(moved.error);
}

/// From one place of a buffer to another of the same: the buffer's own read and write, since a lease of each
/// would wait for the other.
Outcome copy_within(Buffer& buffer, const Copy& copy, uint64_t length) {
  constexpr uint64_t kStep = uint64_t{1} << 20;
  std::vector<std::byte> step(std::min(length, kStep));
  Outcome outcome;
  while (outcome.bytes < length && !outcome.error) {
    if (copy.cancel != nullptr && copy.cancel->cancelled(outcome.bytes > 0)) {
      outcome.error = cancelled_error();
      break;
    }
    const auto part = std::span(step).first(std::min<uint64_t>(step.size(), length - outcome.bytes));
    const auto got = buffer.read(copy.from_offset + outcome.bytes, part);
    if (!got) {
      outcome.error = got.error();
    } else if (*got == 0) {
      break;
    } else {
      const auto put =
          buffer.write(copy.to_offset + outcome.bytes, std::span<const std::byte>(part).first(*got));
      if (put && *put == 0) break;
      count_memory_copy(outcome, put ? Moved{*put, {}, {}} : Moved{0, put.error(), {}});
    }
  }
  return outcome;
}

/// Whether what a heap could not load at once may go another way: the heap can't load from this source, or it
/// was called off and has nothing to show for it, where there must be something.
bool other_way(int error, const CancelToken* cancel) {
  const bool called_off = error == EINTR && (cancel == nullptr || !cancel->cancelled(false));
  return error == EOPNOTSUPP || error == EINVAL || called_off;
}

/// The range for a load at once: from a whole unit to a whole unit, which it may overreach only where the
/// file ends.
std::optional<Range> whole_units(const FileEnd& file, uint64_t offset, uint64_t length) {
  const uint64_t unit = direct_unit(file.alignment().reads);
  const bool to_the_end = offset + length >= file.size().value_or(0);
  if (offset % unit != 0 || (length % unit != 0 && !to_the_end)) return {};
  return Range{offset, round_up(length, unit)};
}

/// The whole source of a still empty buffer, read as its memory is allocated, where the heap can do that;
/// nothing when the piece must go another way.
std::optional<Outcome> load_whole(Workshop& shop, FileSystems& known, const FilePiece::Setting& setting,
                                  Buffer& buffer, const Copy& copy, uint64_t length) {
  if (!may_load_at_once(shop, known, copy, length)) return {};
  const auto range = whole_units(setting.file, setting.file_offset, length);
  if (!range || !FilePiece::goes_by_kernel(shop, known, setting, length, buffer.heap().not_pinnable_reason()))
    return {};
  auto loaded = buffer.load({setting.file.direct_fd(), range->offset, range->length, copy.cancel}, length);
  if (loaded) return FilePiece::moved_by_kernel(loaded->bytes, loaded->direct);
  if (other_way(loaded.error().code, copy.cancel)) return {};
  return failure(std::move(loaded.error()));
}

Outcome load_piece(Workshop& shop, FileSystems& known, const Copy& copy, uint64_t length) {
  FileEnd& file = *std::get<std::shared_ptr<FileEnd>>(copy.from);
  Buffer& buffer = *std::get<std::shared_ptr<Buffer>>(copy.to);
  const FilePiece::Setting setting{file, copy.from_offset, true, copy.require_direct, copy.cancel};
  // Before memory is allocated for nothing.
  const std::string why =
      FilePiece::refusal(shop.module, setting, copy.to_offset, length, buffer.heap().not_pinnable_reason());
  if (!why.empty()) return failure(FilePiece::refused(file, why));

  if (auto whole = load_whole(shop, known, setting, buffer, copy, length)) return std::move(*whole);

  auto lease = lease_to_fill(buffer, copy, length);
  if (!lease) return failure(std::move(lease.error()));
  Lease& memory = **lease;
  Outcome outcome =
      FilePiece(shop, known, setting,
                {memory.bytes(), memory.needs_populate(), not_pinnable(buffer, memory), memory.dmabuf()})
          .run();
  commit(memory, outcome);
  return outcome;
}

}  // namespace

bool may_load_at_once(const Workshop& shop, const FileSystems& known, const Copy& copy, uint64_t length) {
  const auto* file = std::get_if<std::shared_ptr<FileEnd>>(&copy.from);
  const auto* buffer = std::get_if<std::shared_ptr<Buffer>>(&copy.to);
  return file != nullptr && buffer != nullptr && copy.to_offset == 0 && copy.expected_end <= length &&
         length <= PieceSize::kLargest && shop.module.why_not().empty() && (*buffer)->can_load() &&
         (*file)->direct_fd() >= 0 && known.rates.soon((*file)->device(), length);
}

Outcome load(Workshop& shop, FileSystems& known, const Copy& copy, uint64_t length) {
  const auto start = std::chrono::steady_clock::now();
  Outcome outcome = load_piece(shop, known, copy, length);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  known.rates.note(std::get<std::shared_ptr<FileEnd>>(copy.from)->device(), outcome.bytes, took.count());
  return outcome;
}

Outcome save(Workshop& shop, FileSystems& known, const Copy& copy, uint64_t length) {
  Buffer& buffer = *std::get<std::shared_ptr<Buffer>>(copy.from);
  FileEnd& file = *std::get<std::shared_ptr<FileEnd>>(copy.to);
  const FilePiece::Setting setting{file, copy.to_offset, false, copy.require_direct, copy.cancel};
  auto lease = lease_for_reading(buffer, copy.from_offset, length);
  if (!lease) return failure(std::move(lease.error()));
  if (!*lease) return {};
  const Lease& memory = **lease;
  return FilePiece(shop, known, setting,
                   {memory.bytes(), memory.needs_populate(), not_pinnable(buffer, memory), memory.dmabuf()})
      .run();
}

Outcome copy_buffers(Workshop& shop, const Copy& copy, uint64_t length) {
  Buffer& from = *std::get<std::shared_ptr<Buffer>>(copy.from);
  Buffer& to = *std::get<std::shared_ptr<Buffer>>(copy.to);
  if (&from == &to) return copy_within(from, copy, length);

  const auto lease_target = [&] { return lease_to_fill(to, copy, length); };
  // Always in the same order: two copies the opposite way must not wait for each other.
  const bool source_first = std::less<Buffer*>()(&from, &to);
  Result<std::unique_ptr<Lease>> target;
  if (!source_first) target = lease_target();
  if (!target) return failure(std::move(target.error()));
  auto source = lease_for_reading(from, copy.from_offset, length);
  if (!source) return failure(std::move(source.error()));
  if (!*source) return {};
  if (source_first) target = lease_target();
  if (!target) return failure(std::move(target.error()));

  Lease& memory = **target;
  const auto bytes = (*source)->bytes().first(std::min<uint64_t>((*source)->bytes().size(), length));
  Outcome outcome;
  count_memory_copy(outcome,
                    copy_memory(shop, {bytes, (*source)->needs_populate()},
                                {memory.bytes().first(bytes.size()), memory.needs_populate()}, copy.cancel));
  commit(memory, outcome);
  return outcome;
}

}  // namespace dmabuffs
