// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/budget.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "dmabuffs/heap/message.h"

namespace dmabuffs {
namespace {

constexpr auto kReadingLasts = std::chrono::milliseconds(100);
// A reservation of more than this part of the room is worth a fresh reading.
constexpr uint64_t kSmallPart = 64;

/// Bytes of `wanted` whose pages `memfd` doesn't have yet.
uint64_t missing_pages(int memfd, uint64_t wanted) {
  struct stat info {};
  if (::fstat(memfd, &info) != 0) return 0;
  const uint64_t present = static_cast<uint64_t>(info.st_blocks) * 512;
  return wanted > present ? wanted - present : 0;
}

}  // namespace

Reservation::Reservation(Reservation&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)),
      uid_(other.uid_),
      bytes_(std::exchange(other.bytes_, 0)),
      coming_(std::exchange(other.coming_, 0)),
      memfd_(std::exchange(other.memfd_, -1)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    release();
    budget_ = std::exchange(other.budget_, nullptr);
    uid_ = other.uid_;
    bytes_ = std::exchange(other.bytes_, 0);
    coming_ = std::exchange(other.coming_, 0);
    memfd_ = std::exchange(other.memfd_, -1);
  }
  return *this;
}

Reservation::~Reservation() {
  release();
}

void Reservation::release() {
  if (budget_ == nullptr) return;
  settle();
  budget_->give_back(uid_, bytes_);
  budget_ = nullptr;
  bytes_ = 0;
  memfd_ = -1;
}

Result<void> Reservation::resize(uint64_t bytes, bool from_huge_pool) {
  if (budget_ == nullptr) return fail(EINVAL, "a reservation without a budget can't grow");
  const uint64_t more = bytes > bytes_ ? bytes - bytes_ : 0;
  const uint64_t less = bytes < bytes_ ? bytes_ - bytes : 0;
  if (more > 0) {
    TRY(budget_->take(uid_, more, from_huge_pool));
    if (memfd_ < 0 && !from_huge_pool) coming_ += more;
  } else {
    budget_->give_back(uid_, less);
  }
  bytes_ = bytes;
  const std::lock_guard lock(budget_->mutex_);
  if (memfd_ >= 0) {
    if (!from_huge_pool) budget_->coming_ -= more;  // counted by the memfd from here on
    budget_->watched_[memfd_] = bytes_;
  } else {
    const uint64_t unfilled =
        std::min(coming_, less);  // what is given up was not filled yet, if anything was not
    budget_->coming_ -= unfilled;
    coming_ -= unfilled;
  }
  return {};
}

void Reservation::settle() {
  if (budget_ == nullptr) return;
  const std::lock_guard lock(budget_->mutex_);
  budget_->coming_ -= std::exchange(coming_, 0);
  if (memfd_ >= 0) budget_->watched_.erase(memfd_);
}

void Reservation::watch(int memfd) {
  settle();
  const std::lock_guard lock(budget_->mutex_);
  memfd_ = memfd;
  budget_->watched_[memfd_] = bytes_;
}

Budget::Budget(Limits limits, MemoryGauge gauge) : limits_(limits), gauge_(std::move(gauge)) {
  if (limits_.total == 0) limits_.total = gauge_.ram() / 2;
  if (limits_.per_user == 0) limits_.per_user = limits_.total / 2;
}

uint64_t Budget::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

void Budget::set_relief(std::function<bool()> relief) {
  const std::lock_guard lock(mutex_);
  relief_ = std::move(relief);
}

bool Budget::relieve() {
  std::function<bool()> relief;
  {
    const std::lock_guard lock(mutex_);
    relief = relief_;
  }
  return relief && relief();
}

Result<Reservation> Budget::reserve(uid_t uid, uint64_t bytes, bool from_huge_pool) {
  TRY(take(uid, bytes, from_huge_pool));
  return Reservation(this, uid, bytes, from_huge_pool ? 0 : bytes);
}

Result<void> Budget::take(uid_t uid, uint64_t bytes, bool from_huge_pool) {
  auto taken = take_once(uid, bytes, from_huge_pool);
  if (!taken && relieve()) taken = take_once(uid, bytes, from_huge_pool);
  return taken;
}

Result<void> Budget::take_once(uid_t uid, uint64_t bytes, bool from_huge_pool) {
  const std::lock_guard lock(mutex_);
  TRY(check_limits(uid, bytes));
  if (!from_huge_pool && bytes > 0) {
    TRY(check_machine(bytes));
    coming_ += bytes;
    spent_ += bytes;
  }
  used_ += bytes;
  by_user_[uid] += bytes;
  return {};
}

Result<void> Budget::check(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  TRY(check_machine(bytes));
  spent_ += bytes;
  return {};
}

Result<void> Budget::check_limits(uid_t uid, uint64_t bytes) const {
  if (bytes > limits_.total - std::min(used_, limits_.total))
    return fail(ENOSPC, size_text(bytes) + " more would exceed the mount's size of " +
                            size_text(limits_.total) + " (" + size_text(used_) +
                            " in use); remove buffers or mount with a larger -o size=");
  if (uid == limits_.owner) return {};
  const auto user = by_user_.find(uid);
  const uint64_t used = user == by_user_.end() ? 0 : user->second;
  if (bytes > limits_.per_user - std::min(used, limits_.per_user))
    return fail(ENOSPC, size_text(bytes) + " more would exceed the share of user " + std::to_string(uid) +
                            ", " + size_text(limits_.per_user) + " (" + size_text(used) +
                            " in use); remove buffers or have the mount made with a larger -o size=");
  return {};
}

Result<void> Budget::check_machine(uint64_t bytes) {
  const auto fits = [&] { return spent_ <= room_.bytes && bytes <= room_.bytes - spent_; };
  const bool small = bytes <= room_.bytes / kSmallPart;
  const bool fresh = std::chrono::steady_clock::now() - read_at_ < kReadingLasts;
  if (fresh && small && fits()) return {};
  read_machine();
  if (fits()) return {};
  const uint64_t left = room_.bytes > spent_ ? room_.bytes - spent_ : 0;
  std::string coming;
  if (spent_ > 0) coming = " once the buffers being filled are complete";
  return fail(ENOMEM, "not enough memory: " + size_text(bytes) + " wanted, " + size_text(left) + " left" +
                          coming + " (" + room_.why + "); " + room_.remedy);
}

void Budget::read_machine() {
  // The order matters: pages that arrive in between are counted twice rather than not at all.
  uint64_t coming = coming_;
  for (auto it = watched_.begin(); it != watched_.end();) {
    const uint64_t missing = missing_pages(it->first, it->second);
    coming += missing;
    it = missing == 0 ? watched_.erase(it) : std::next(it);
  }
  room_ = gauge_.room();
  spent_ = coming;
  read_at_ = std::chrono::steady_clock::now();
}

void Budget::give_back(uid_t uid, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  used_ -= bytes;
  const auto user = by_user_.find(uid);
  if (user == by_user_.end()) return;
  user->second -= bytes;
  if (user->second == 0) by_user_.erase(user);
}

}  // namespace dmabuffs
