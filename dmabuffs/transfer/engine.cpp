// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/engine.h"

#include <fcntl.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <thread>

#include "dmabuffs/transfer/paths.h"
#include "dmabuffs/transfer/piece.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kLargestOffset = std::numeric_limits<int64_t>::max();

unsigned thread_count(unsigned asked) {
  if (asked > 0) return asked;
  return std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
}

Result<uint64_t> size_of(const End& end) {
  if (const auto* file = std::get_if<std::shared_ptr<FileEnd>>(&end)) return (*file)->size();
  return std::get<std::shared_ptr<Buffer>>(end)->size();
}

/// The kernel would append such writes wherever they are meant to go.
bool opened_for_append(const End& end) {
  const auto* file = std::get_if<std::shared_ptr<FileEnd>>(&end);
  return file != nullptr && (::fcntl((*file)->fd(), F_GETFL) & O_APPEND) != 0;
}

/// A file may come in by two ways: by two directories of files/ that overlap, say.
bool same_object(const End& a, const End& b) {
  const auto* file = std::get_if<std::shared_ptr<FileEnd>>(&a);
  const auto* other = std::get_if<std::shared_ptr<FileEnd>>(&b);
  return a == b || (file != nullptr && other != nullptr && (*file)->same_file(**other));
}

bool overlap(const Copy& copy, uint64_t length) {
  return copy.from_offset < copy.to_offset + length && copy.to_offset < copy.from_offset + length;
}

/// Only these may reach the kernel: others would make it or cp fall back in silence (DESIGN section 3).
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

}  // namespace

struct Engine::State {
  explicit State(const Options& options)
      : shop{Crew(thread_count(options.threads) - 1), BouncePool(options.bounce_bytes), {}} {}
  Workshop shop;
  FileSystems known;
  Counters counters;

  Outcome move(const Copy& copy, uint64_t length);
  Outcome move_in_parts(Copy copy, uint64_t length);
};

Engine::Engine(Options options) : state_(std::make_unique<State>(options)) {}
Engine::~Engine() = default;

Counters& Engine::counters() {
  return state_->counters;
}

bool Engine::loads_at_once(const Copy& copy) const {
  return may_load_at_once(state_->shop, state_->known, copy, copy.length);
}

const KernelModule& Engine::kernel_module() const {
  return state_->shop.module;
}

Outcome Engine::State::move(const Copy& copy, uint64_t length) {
  const auto* from_file = std::get_if<std::shared_ptr<FileEnd>>(&copy.from);
  const auto* to_file = std::get_if<std::shared_ptr<FileEnd>>(&copy.to);
  if (from_file != nullptr && to_file != nullptr) {
    Moved moved =
        copy_files(shop, **from_file, copy.from_offset, **to_file, copy.to_offset, length, copy.cancel);
    Outcome outcome{moved.bytes, std::move(moved.error), {}, {}};
    outcome.paths[static_cast<size_t>(Path::FileCopy)] = moved.bytes;
    return outcome;
  }
  if (from_file != nullptr) return load(shop, known, copy, length);
  if (to_file != nullptr) return save(shop, known, copy, length);
  return copy_buffers(shop, copy, length);
}

/// A lease to read from a buffer may be shorter than what was asked for.
Outcome Engine::State::move_in_parts(Copy copy, uint64_t length) {
  Outcome outcome = move(copy, length);
  uint64_t last = outcome.bytes;
  while (!outcome.error && last > 0 && outcome.bytes < length &&
         std::holds_alternative<std::shared_ptr<Buffer>>(copy.from)) {
    copy.from_offset += last;
    copy.to_offset += last;
    Outcome part = move(copy, length - outcome.bytes);
    last = part.bytes;
    outcome.bytes += part.bytes;
    outcome.error = std::move(part.error);
    for (size_t path = 0; path < kPathCount; ++path) outcome.paths[path] += part.paths[path];
    std::ranges::move(part.reasons, std::back_inserter(outcome.reasons));
  }
  return outcome;
}

Outcome Engine::copy(const Copy& copy) {
  const auto run = [&]() -> Outcome {
    const auto size = size_of(copy.from);
    if (!size) return failure(size.error());
    if (copy.from_offset >= *size || copy.length == 0) return {};
    const uint64_t length = std::min(copy.length, *size - copy.from_offset);
    if (copy.to_offset > kLargestOffset - length)
      return failure({EFBIG, "the destination would become too long"});
    if (opened_for_append(copy.to)) return failure({EIO, "the destination is open for appending only"});
    if (same_object(copy.from, copy.to) && overlap(copy, length)) {
      return failure({EIO, "source and destination overlap"});
    }
    if (copy.cancel != nullptr && copy.cancel->cancelled(false)) return failure(cancelled_error());
    return state_->move_in_parts(copy, length);
  };
  Outcome outcome = run();
  if (outcome.error) {
    outcome.error = presentable(std::move(*outcome.error));
    if (outcome.error->code != EINTR) state_->counters.refuse(outcome.error->message);
  }
  state_->counters.add(outcome.paths, outcome.reasons);
  return outcome;
}

void PieceSize::took(uint64_t bytes, double seconds) {
  constexpr uint64_t kSmallest = uint64_t{2} << 20;
  // A last, short piece says little about the rate.
  if (bytes < bytes_ / 4 && seconds < 1.0) return;
  const double a_second_of_it =
      seconds > 0 ? static_cast<double>(bytes) / seconds : static_cast<double>(kLargest);
  const auto next = static_cast<uint64_t>(std::min(a_second_of_it, static_cast<double>(kLargest)));
  bytes_ = std::clamp(next / kSmallest * kSmallest, kSmallest, kLargest);
}

}  // namespace dmabuffs
