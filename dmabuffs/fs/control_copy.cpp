// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/control_copy.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "dmabuffs/transfer/file_piece.h"
#include "dmabuffs/transfer/request.h"

namespace dmabuffs {

namespace {

// A reply must fit a message; a copy that meets more kinds of reasons than this is summed up well enough by
// them.
constexpr size_t kMaxReasons = 16;
constexpr size_t kMaxReasonText = 512;

void merge(std::vector<Reason>& into, const Reason& reason) {
  for (Reason& known : into) {
    if (known.path != reason.path || known.why != reason.why) continue;
    known.bytes += reason.bytes;
    return;
  }
  if (into.size() < kMaxReasons)
    into.push_back({reason.path, reason.why.substr(0, kMaxReasonText), reason.bytes});
}

}  // namespace

Result<std::unique_ptr<ControlCopy>> ControlCopy::make(const ControlScope& scope, const Json& request,
                                                       std::vector<UniqueFd> fds) {
  const auto from_spec = request.find("from"), to_spec = request.find("to");
  if (from_spec == request.end() || to_spec == request.end())
    return fail(EINVAL, "copy: needs \"from\" and \"to\"");
  auto from = open_end(scope, *from_spec, Access::Read, fds);
  if (!from) return pass(std::move(from));
  auto to = open_end(scope, *to_spec, Access::Write, fds);
  if (!to) return pass(std::move(to));
  if (request.contains("length") && !number_of(request, "length"))
    return fail(EINVAL, "copy: \"length\": must be a number of bytes");
  if (same_file(*from, *to)) return fail(EINVAL, "copy: both ends are the same file");
  std::unique_ptr<ControlCopy> copy(new ControlCopy(scope.context, std::move(*from), std::move(*to)));
  const uint64_t there = copy->from_.size > copy->from_.offset ? copy->from_.size - copy->from_.offset : 0;
  copy->length_ = std::min(there, number_of(request, "length").value_or(there));
  if (copy->length_ > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) - copy->to_.offset)
    return fail(EFBIG, "copy: would end beyond the largest file offset");
  copy->require_direct_ = scope.context.settings.require_direct || flag_of(request, "require_direct");
  if (auto allowed = copy->check_direct(there); !allowed) return pass(std::move(allowed));
  copy->event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!copy->event_) return fail_errno(errno, "copy");
  return copy;
}

/// Refuses before anything is moved; a copy of no bytes asks about all there are.
Result<void> ControlCopy::check_direct(uint64_t there) const {
  const auto* from_file = std::get_if<std::shared_ptr<FileEnd>>(&from_.end);
  const auto* to_file = std::get_if<std::shared_ptr<FileEnd>>(&to_.end);
  if (!require_direct_ || (from_file == nullptr) == (to_file == nullptr)) return {};
  const bool loads = from_file != nullptr;
  FileEnd& file = loads ? **from_file : **to_file;
  const Buffer& buffer = *std::get<std::shared_ptr<Buffer>>(loads ? to_.end : from_.end);
  const FilePiece::Setting setting{file, loads ? from_.offset : to_.offset, loads, true, nullptr};
  const std::string why =
      FilePiece::refusal(context_.engine.kernel_module(), setting, loads ? to_.offset : from_.offset,
                         length_ != 0 ? length_ : there, buffer.heap().not_pinnable_reason());
  if (!why.empty()) return Failure(FilePiece::refused(file, why));
  return {};
}

ControlCopy::~ControlCopy() {
  cancel();
  if (thread_.joinable()) thread_.join();
}

Result<void> ControlCopy::start() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    return fail(EAGAIN, std::string("copy: no thread: ") + error.what());
  }
  return {};
}

bool ControlCopy::acknowledge() {
  eventfd_t count = 0;
  (void)::eventfd_read(event_.get(), &count);
  return ended_.load();
}

void ControlCopy::run() {
  try {
    move_pieces();
    finish_destination();
  } catch (const std::exception& error) {
    sum_.error = Error{ENOMEM, std::string("copy: ") + error.what()};
  }
  ended_.store(true);
  (void)::eventfd_write(event_.get(), 1);
}

void ControlCopy::add(const Outcome& outcome) {
  sum_.bytes += outcome.bytes;
  sum_.error = outcome.error;
  for (size_t i = 0; i < outcome.paths.size(); ++i) sum_.paths[i] += outcome.paths[i];
  for (const Reason& reason : outcome.reasons) merge(sum_.reasons, reason);
  done_.store(sum_.bytes);
  (void)::eventfd_write(event_.get(), 1);
}

void ControlCopy::move_pieces() {
  using Clock = std::chrono::steady_clock;
  PieceSize piece;
  while (sum_.bytes < length_ && !cancel_.cancelled()) {
    Copy copy{from_.end,
              from_.offset + sum_.bytes,
              to_.end,
              to_.offset + sum_.bytes,
              length_ - sum_.bytes,
              std::max(to_.size, to_.offset + length_),
              require_direct_,
              &cancel_};
    copy.length = piece_length(context_.engine, piece, copy);
    const auto start = Clock::now();
    const Outcome outcome = context_.engine.copy(copy);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    // Told the double, it aims at half its second: progress is due twice a second.
    piece.took(outcome.bytes, 2 * seconds);
    add(outcome);
    if (outcome.error || outcome.bytes < copy.length) break;
  }
  if (cancel_.cancelled() && sum_.bytes < length_ && !sum_.error)
    sum_.error = Error{EINTR, "copy: cancelled"};
}

void ControlCopy::finish_destination() {
  if (!to_.open || sum_.error || length_ == 0) return;
  // Making the dma-buf may fail, and the client must hear of it.
  if (auto flushed = to_.open->flush(); !flushed) sum_.error = flushed.error();
}

Json ControlCopy::reply() const {
  Json reply = sum_.error ? error_reply(*sum_.error) : Json{{"ok", true}};
  reply["bytes"] = sum_.bytes;
  reply["paths"] = Json::object();
  for (size_t i = 0; i < sum_.paths.size(); ++i)
    if (sum_.paths[i] != 0) reply["paths"][to_string(static_cast<Path>(i))] = sum_.paths[i];
  reply["reasons"] = Json::array();
  for (const Reason& reason : sum_.reasons)
    reply["reasons"].push_back(
        {{"path", to_string(reason.path)}, {"why", reason.why}, {"bytes", reason.bytes}});
  return reply;
}

}  // namespace dmabuffs
