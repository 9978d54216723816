// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/engine.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <thread>

#include "dmabuffs/transfer/file_piece.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kLargestOffset = std::numeric_limits<int64_t>::max();

unsigned thread_count(unsigned asked) {
  if (asked > 0) return asked;
  return std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
}

bool overlap(const Copy& copy, uint64_t length) {
  return copy.from_offset < copy.to_offset + length && copy.to_offset < copy.from_offset + length;
}

/// Only these may reach the kernel: others would make it or cp fall back in silence.
Error presentable(Error error) {
  switch (error.code) {
    case EIO:
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EBUSY:
    case EFBIG:
    case EINTR:
      return error;
    default:
      return {EIO, std::move(error.message)};
  }
}

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
/// becomes less, perhaps 0, and there is no lease.
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

FilePiece::Target target_of(const Buffer& buffer, const Lease& lease) {
  std::string why;
  if (!lease.pinnable()) why = buffer.heap().not_pinnable_reason();
  if (!lease.pinnable() && why.empty()) why = "the buffer's memory can't be pinned";
  return {lease.bytes(), &lease, std::move(why), lease.dmabuf()};
}

/// What was not read as it was is not stored.
Outcome intact(const Lease& lease, Outcome outcome) {
  if (auto is = lease.intact(); !is) return failure(std::move(is.error()));
  return outcome;
}

/// Makes what was moved count; what can't be committed was not stored.
Outcome commit(Lease& lease, Outcome outcome) {
  if (outcome.bytes == 0) return outcome;
  if (auto stored = lease.commit(outcome.bytes); !stored) return failure(std::move(stored.error()));
  return outcome;
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
    const auto bytes = std::span(step).first(std::min<uint64_t>(step.size(), length - outcome.bytes));
    auto moved = buffer.read(copy.from_offset + outcome.bytes, bytes);
    if (moved && *moved > 0)
      moved = buffer.write(copy.to_offset + outcome.bytes, std::span<const std::byte>(bytes).first(*moved));
    if (!moved) outcome.error = moved.error();
    if (!moved || *moved == 0) break;
    outcome.add(Moved{*moved, {}}, Path::MemoryCopy);
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

}  // namespace

struct Engine::State {
  explicit State(const Options& options)
      : shop{Crew(thread_count(options.threads) - 1), BouncePool(options.bounce_bytes), {}} {}
  Workshop shop;
  FileSystems known;
  Counters counters;

  Outcome run(const Copy& copy);
  Outcome move(const Copy& copy, uint64_t length);
  Outcome load(const Copy& copy, uint64_t length);
  std::optional<Outcome> load_whole(const FilePiece::Setting& setting, const Copy& copy, uint64_t length);
  Outcome save(const Copy& copy, uint64_t length);
  Outcome copy_buffers(const Copy& copy, uint64_t length);
  Outcome copy_files(const Copy& copy, uint64_t length);
  [[nodiscard]] bool loads_at_once(const Copy& copy, uint64_t length) const;
  [[nodiscard]] std::string not_direct(const Copy& copy, uint64_t length) const;
};

Engine::Engine(Options options) : state_(std::make_unique<State>(options)) {}
Engine::~Engine() = default;

Counters& Engine::counters() {
  return state_->counters;
}

const KernelModule& Engine::kernel_module() const {
  return state_->shop.module;
}

bool Engine::loads_at_once(const Copy& piece) const {
  return state_->loads_at_once(piece, piece.length);
}

std::string Engine::not_direct(const Copy& piece) const {
  return state_->not_direct(piece, piece.length);
}

Outcome Engine::copy(const Copy& piece) {
  Outcome outcome = state_->run(piece);
  if (outcome.error) {
    outcome.error = presentable(std::move(*outcome.error));
    if (outcome.error->code != EINTR) state_->counters.refuse(outcome.error->message);
  }
  state_->counters.add(outcome.paths, outcome.reasons);
  return outcome;
}

Outcome Engine::State::run(const Copy& copy) {
  const auto size = copy.from.size();
  if (!size) return failure(size.error());
  if (copy.from_offset >= *size || copy.length == 0) return {};
  const uint64_t length = std::min(copy.length, *size - copy.from_offset);
  if (copy.to_offset > kLargestOffset - length)
    return failure({EFBIG, "the destination would become too long"});
  if (copy.to.appends()) return failure({EIO, "the destination is open for appending only"});
  if (copy.from.same_object(copy.to) && overlap(copy, length))
    return failure({EIO, "source and destination overlap"});
  if (copy.cancel != nullptr && copy.cancel->cancelled(false)) return failure(cancelled_error());

  Outcome outcome = move(copy, length);
  // A lease to read from a buffer may be shorter than what was asked for.
  Copy rest = copy;
  for (uint64_t last = outcome.bytes;
       copy.from.buffer() != nullptr && !outcome.error && last > 0 && outcome.bytes < length;) {
    rest.from_offset += last;
    rest.to_offset += last;
    const Outcome next = move(rest, length - outcome.bytes);
    last = next.bytes;
    outcome.add(next);
  }
  return outcome;
}

Outcome Engine::State::move(const Copy& copy, uint64_t length) {
  if (copy.from.file() == nullptr)
    return copy.to.file() == nullptr ? copy_buffers(copy, length) : save(copy, length);
  if (copy.to.file() != nullptr) return copy_files(copy, length);
  const auto start = std::chrono::steady_clock::now();
  Outcome outcome = load(copy, length);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  known.rates.note(copy.from.file()->device(), outcome.bytes, took.count());
  return outcome;
}

Outcome Engine::State::load(const Copy& copy, uint64_t length) {
  FileEnd& file = *copy.from.file();
  Buffer& buffer = *copy.to.buffer();
  // Before memory is allocated for nothing.
  if (copy.require_direct)
    if (const std::string why = not_direct(copy, length); !why.empty())
      return failure(FilePiece::refused(file, why));
  const FilePiece::Setting setting{file, copy.from_offset, true, copy.require_direct, copy.cancel};
  if (auto whole = load_whole(setting, copy, length)) return std::move(*whole);
  auto lease = lease_to_fill(buffer, copy, length);
  if (!lease) return failure(std::move(lease.error()));
  return commit(**lease, FilePiece(shop, known, setting, target_of(buffer, **lease)).run());
}

/// Nothing when the piece must go another way.
std::optional<Outcome> Engine::State::load_whole(const FilePiece::Setting& setting, const Copy& copy,
                                                 uint64_t length) {
  Buffer& buffer = *copy.to.buffer();
  if (!loads_at_once(copy, length)) return {};
  const auto range = whole_units(setting.file, setting.file_offset, length);
  if (!range || !FilePiece::goes_by_kernel(shop, known, setting, length, buffer.heap().not_pinnable_reason()))
    return {};
  auto loaded = buffer.load({setting.file.direct_fd(), range->offset, range->length, copy.cancel}, length);
  if (loaded) return FilePiece::moved_by_kernel(loaded->bytes, loaded->direct);
  if (other_way(loaded.error().code, copy.cancel)) return {};
  return failure(std::move(loaded.error()));
}

Outcome Engine::State::save(const Copy& copy, uint64_t length) {
  Buffer& buffer = *copy.from.buffer();
  const FilePiece::Setting setting{*copy.to.file(), copy.to_offset, false, copy.require_direct, copy.cancel};
  auto lease = lease_for_reading(buffer, copy.from_offset, length);
  if (!lease) return failure(std::move(lease.error()));
  if (!*lease) return {};
  return intact(**lease, FilePiece(shop, known, setting, target_of(buffer, **lease)).run());
}

Outcome Engine::State::copy_buffers(const Copy& copy, uint64_t length) {
  Buffer& from = *copy.from.buffer();
  Buffer& to = *copy.to.buffer();
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
  outcome.add(
      copy_memory(shop, {bytes, source->get()}, {memory.bytes().first(bytes.size()), &memory}, copy.cancel),
      Path::MemoryCopy);
  outcome = intact(**source, std::move(outcome));
  return commit(memory, std::move(outcome));
}

Outcome Engine::State::copy_files(const Copy& copy, uint64_t length) {
  Outcome outcome;
  outcome.add(dmabuffs::copy_files(shop, *copy.from.file(), copy.from_offset, *copy.to.file(), copy.to_offset,
                                   length, copy.cancel),
              Path::FileCopy);
  return outcome;
}

bool Engine::State::loads_at_once(const Copy& copy, uint64_t length) const {
  const FileEnd* file = copy.from.file();
  const Buffer* buffer = copy.to.buffer();
  return file != nullptr && buffer != nullptr && copy.to_offset == 0 && copy.expected_end <= length &&
         length <= kLargestPiece && shop.module.why_not().empty() && buffer->can_load() &&
         file->direct_fd() >= 0 && known.rates.soon(file->device(), length);
}

std::string Engine::State::not_direct(const Copy& copy, uint64_t length) const {
  const bool loads = copy.from.file() != nullptr;
  FileEnd* file = loads ? copy.from.file() : copy.to.file();
  const Buffer* buffer = loads ? copy.to.buffer() : copy.from.buffer();
  if (file == nullptr || buffer == nullptr) return "";
  const FilePiece::Setting setting{*file, loads ? copy.from_offset : copy.to_offset, loads, true, nullptr};
  return FilePiece::refusal(shop.module, setting, loads ? copy.to_offset : copy.from_offset, length,
                            buffer->heap().not_pinnable_reason());
}

}  // namespace dmabuffs
