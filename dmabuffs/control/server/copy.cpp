// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/copy.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <limits>

namespace dmabuffs {

namespace {

constexpr size_t kMaxReasonText = 512;  // a reply must fit a message

}  // namespace

Result<std::unique_ptr<ControlCopy>> ControlCopy::make(const ControlScope& scope, const Json& request,
                                                       std::vector<UniqueFd> fds) {
  const auto from_spec = request.find("from"), to_spec = request.find("to");
  if (from_spec == request.end() || to_spec == request.end())
    return fail(EINVAL, "copy: needs \"from\" and \"to\"");
  auto from = TRY(open_end(scope, *from_spec, Access::Read, fds));
  auto to = TRY(open_end(scope, *to_spec, Access::Write, fds));
  std::unique_ptr<ControlCopy> copy(new ControlCopy(std::move(from), std::move(to)));
  TRY(copy->prepare(scope.context, request));
  return copy;
}

Result<void> ControlCopy::prepare(MountContext& context, const Json& request) {
  context_ = &context;
  if (request.contains("length") && !number_of(request, "length"))
    return fail(EINVAL, "copy: \"length\": must be a number of bytes");
  if (from_.end.same_object(to_.end)) return fail(EINVAL, "copy: both ends are the same file");
  const uint64_t there = from_.size > from_.offset ? from_.size - from_.offset : 0;
  total_ = std::min(there, number_of(request, "length").value_or(there));
  if (total_ > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) - to_.offset)
    return fail(EFBIG, "copy: would end beyond the largest file offset");
  Copy copy{from_.end, from_.offset, to_.end, to_.offset, total_};
  copy.expected_end = std::max(to_.size, to_.offset + total_);
  copy.require_direct = context.settings.require_direct || flag_of(request, "require_direct");
  copy.cancel = &cancel_;
  transfer_.emplace(context.engine, std::move(copy));
  TRY(transfer_->check_direct(there));
  event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event_) return fail_errno(errno, "copy");
  if (to_.open && from_.offset == 0 && to_.offset == 0)
    to_.open->copied_from(from_.open ? from_.open->picture()
                                     : guess_from(text_of(request["from"], "name").value_or(""), from_.size));
  return {};
}

ControlCopy::~ControlCopy() {
  cancel();
  if (thread_.joinable()) thread_.join();
}

Result<void> ControlCopy::start() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::exception& error) {
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
    transfer_->run([this](const Outcome& piece) { add(piece); });
    finish_destination();
  } catch (const std::bad_alloc&) {
    sum_.error = Error{ENOMEM, "no memory"};  // short enough to take none
  } catch (const std::exception& error) {
    sum_.error = Error{EIO, error.what()};
  }
  ended_.store(true);
  (void)::eventfd_write(event_.get(), 1);
}

void ControlCopy::add(const Outcome& piece) {
  sum_.add(piece);
  tell_kernel();
  done_.store(sum_.bytes);
  (void)::eventfd_write(event_.get(), 1);
}

void ControlCopy::finish_destination() {
  if (!to_.open || sum_.error || total_ == 0) return;
  // Making the dma-buf may fail, and the client must hear of it.
  if (auto flushed = to_.open->flush(); !flushed) sum_.error = flushed.error();
  tell_kernel();
}

void ControlCopy::tell_kernel() {
  if (to_.node) context_->changed_unasked(*to_.node);
}

Json ControlCopy::reply() const {
  Json reply = sum_.error ? error_reply(*sum_.error) : Json{{"ok", true}};
  reply["bytes"] = sum_.bytes;
  reply["paths"] = Json::object();
  for (size_t i = 0; i < sum_.paths.size(); ++i)
    if (sum_.paths[i] != 0) reply["paths"][to_string(static_cast<Path>(i))] = sum_.paths[i];
  reply["reasons"] = Json::array();
  for (const Reason& reason : sum_.reasons)
    reply["reasons"].push_back({{"path", to_string(reason.path)},
                                {"why", reason.why.substr(0, kMaxReasonText)},
                                {"bytes", reason.bytes}});
  return reply;
}

}  // namespace dmabuffs
