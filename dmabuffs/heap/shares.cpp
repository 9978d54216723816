// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/shares.h"

#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <utility>

#include "dmabuffs/heap/message.h"

namespace dmabuffs {

Share::Share(Share&& other) noexcept
    : shares_(std::exchange(other.shares_, nullptr)),
      kind_(other.kind_),
      uid_(other.uid_),
      amount_(std::exchange(other.amount_, 0)) {}

Share& Share::operator=(Share&& other) noexcept {
  std::swap(shares_, other.shares_);
  std::swap(kind_, other.kind_);
  std::swap(uid_, other.uid_);
  std::swap(amount_, other.amount_);
  return *this;
}

Share::~Share() {
  if (shares_ != nullptr) shares_->give_back(kind_, uid_, amount_);
}

Result<void> Share::resize(uint64_t amount) {
  if (shares_ == nullptr) return {};
  if (amount > amount_) {
    TRY(shares_->add(kind_, uid_, amount - amount_));
  } else {
    shares_->give_back(kind_, uid_, amount_ - amount);
  }
  amount_ = amount;
  return {};
}

Shares::Limits Shares::of_this_process(const Budget& budget, uid_t owner) {
  constexpr uint64_t kLeast = uint64_t{64} << 20;
  struct rlimit files {};
  ::getrlimit(RLIMIT_NOFILE, &files);
  return {std::max(kLeast, budget.limit() / 16), files.rlim_cur / 4 * 3, owner};
}

Result<Share> Shares::take(unsigned kind, uid_t uid, uint64_t amount) {
  TRY(add(kind, uid, amount));
  return Share(this, kind, uid, amount);
}

Result<void> Shares::add(unsigned kind, uid_t uid, uint64_t amount) {
  if (kind == kNames || kind == kViews) {
    TRY(budget_.check(amount));
  }
  if (uid == owner_) return {};
  const std::lock_guard lock(mutex_);
  Taken& taken = taken_[kind];
  const auto user = taken.by_user.find(uid);
  const uint64_t has = user == taken.by_user.end() ? 0 : user->second;
  if (has + amount > most_[kind] / 2 || taken.all + amount > most_[kind])
    return Failure(used_up(kind, uid, has));
  taken.all += amount;
  taken.by_user[uid] += amount;
  return {};
}

void Shares::give_back(unsigned kind, uid_t uid, uint64_t amount) {
  if (uid == owner_) return;
  const std::lock_guard lock(mutex_);
  Taken& taken = taken_[kind];
  taken.all -= amount;
  const auto user = taken.by_user.find(uid);
  if (user == taken.by_user.end()) return;
  user->second -= amount;
  if (user->second == 0) taken.by_user.erase(user);
}

Error Shares::used_up(unsigned kind, uid_t uid, uint64_t has) const {
  const std::string user = "user " + std::to_string(uid);
  if (kind == kNames)
    return {ENOSPC, "names and attributes of " + user + " take " + size_text(has) +
                        " of the daemon's memory; a user may have " + size_text(most_[kind] / 2) +
                        ", and all but the mount's owner together " + size_text(most_[kind]) +
                        "; remove some"};
  if (kind == kViews)
    return {EMFILE, "open files of views/ of " + user + " take " + size_text(has) +
                        " of the daemon's memory; a user may have " + size_text(most_[kind] / 2) +
                        ", and all but the mount's owner together " + size_text(most_[kind]) +
                        "; close some"};
  if (kind == kAddresses)
    return {ENOSPC, "imported dma-bufs of " + user + " take " + size_text(has) +
                        " of the daemon's address space; a user may have " + size_text(most_[kind] / 2) +
                        ", and all but the mount's owner together " + size_text(most_[kind]) +
                        "; remove some"};
  return {ENOSPC, "buffers and open files of " + user + " take " + std::to_string(has) +
                      " of the daemon's descriptors; a user may have " + std::to_string(most_[kind] / 2) +
                      ", and all but the mount's owner together " + std::to_string(most_[kind]) +
                      "; remove or close some, or have the mount made with a higher limit (ulimit -n)"};
}

}  // namespace dmabuffs
