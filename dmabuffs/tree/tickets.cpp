// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/tickets.h"

#include <sys/random.h>

#include <algorithm>

namespace dmabuffs {

Result<TicketBits> Tickets::issue(uid_t user, const OpenedFile& file, Clock::time_point now) {
  TicketBits bits;
  if (::getrandom(bits.data(), bits.size(), 0) != static_cast<ssize_t>(bits.size()))
    return fail_errno(errno, "ticket");
  const std::lock_guard lock(mutex_);
  std::erase_if(out_,
                [now](const auto& entry) { return entry.second.end <= now || entry.second.open.expired(); });
  const auto of_user = std::count_if(out_.begin(), out_.end(),
                                     [user](const auto& entry) { return entry.second.user == user; });
  const size_t most = user == 0 || user == owner_ ? kMax : kMaxOfStrangers;
  if (out_.size() >= most || static_cast<size_t>(of_user) >= kMaxOfUser)
    return fail(EBUSY, "ticket: too many are out; try again in some seconds");
  out_.emplace(to_text(bits), Ticket{user, file.node, file.open, file.flags, now + kLife});
  return bits;
}

Result<Tickets::OpenedFile> Tickets::redeem(const std::string& text, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto ticket = out_.extract(text);
  OpenedFile file;
  if (!ticket.empty() && now < ticket.mapped().end)
    file = {ticket.mapped().node.lock(), ticket.mapped().open.lock(), ticket.mapped().flags};
  if (!file.node || !file.open)
    return fail(
        ESTALE,
        "\"ticket\": not one that is out: each is good once, for some seconds, while its file is open");
  return file;
}

}  // namespace dmabuffs
