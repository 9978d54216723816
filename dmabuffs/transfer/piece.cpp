// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/piece.h"

#include <algorithm>
#include <functional>
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

/// A lease to read from a buffer that may be truncated at the same time: then `length` becomes less, perhaps
/// 0.
Result<std::unique_ptr<Lease>> lease_for_reading(Buffer& buffer, uint64_t offset, uint64_t& length) {
  for (;;) {
    auto lease = buffer.lease({offset, length}, Access::Read, 0);
    const uint64_t size = buffer.size();
    const uint64_t there = size > offset ? size - offset : 0;
    if (lease || there >= length) return lease;
    length = there;
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
    if (copy.cancel != nullptr && copy.cancel->cancelled()) {
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

}  // namespace

Outcome load(Workshop& shop, FileSystems& known, const Copy& copy, uint64_t length) {
  FileEnd& file = *std::get<std::shared_ptr<FileEnd>>(copy.from);
  Buffer& buffer = *std::get<std::shared_ptr<Buffer>>(copy.to);
  const FilePiece::Setting setting{file, copy.from_offset, true, copy.require_direct, copy.cancel};
  // Before memory is allocated for nothing.
  const std::string why =
      FilePiece::refusal(shop.module, setting, copy.to_offset, length, buffer.heap().not_pinnable_reason());
  if (!why.empty()) return failure(FilePiece::refused(file, why));

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
  Outcome outcome;
  count_memory_copy(outcome,
                    copy_memory(shop, {(*source)->bytes(), (*source)->needs_populate()},
                                {memory.bytes().first(length), memory.needs_populate()}, copy.cancel));
  commit(memory, outcome);
  return outcome;
}

}  // namespace dmabuffs
