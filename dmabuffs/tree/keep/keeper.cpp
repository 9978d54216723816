// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/keep/keeper.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <utility>

#include "dmabuffs/base/log.h"

namespace dmabuffs {

namespace {

const std::string kNames = "dmabuffs-names-", kMemory = "dmabuffs-memory-";

/// The N of "PREFIX-N"; 0: `name` is none.
uint64_t number_of(const std::string& name, const std::string& prefix) {
  uint64_t number = 0;
  if (!name.starts_with(prefix)) return 0;
  const char* const end = name.data() + name.size();
  const auto read = std::from_chars(name.data() + prefix.size(), end, number);
  return read.ec == std::errc() && read.ptr == end ? number : 0;
}

}  // namespace

/// As with the descriptors that there may be.
Keeper::Keeper(ServiceManager manager, KeptLog log, Budget& budget)
    : manager_(std::move(manager)),
      log_(std::move(log)),
      shares_(budget, {.descriptors = manager_.room() / 4 * 3, .owner = ::geteuid()}) {}

std::unique_ptr<Keeper> Keeper::make(std::vector<ServiceManager::Stored> given, Budget& budget) {
  ServiceManager manager;
  if (manager.room() == 0) return nullptr;
  auto log = KeptLog::make();
  if (!log) {
    log_error("nothing outlives this daemon: " + log.error().message);
    return nullptr;
  }
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(manager), std::move(*log), budget));
  keeper->figures_ = {given.size(), keeper->manager_.room(), 0};
  UniqueFd names;
  for (ServiceManager::Stored& stored : given) {
    const std::string& name = stored.name;
    if (const uint64_t list = number_of(name, kNames); list > 0) {
      keeper->old_logs_.push_back(name);
      if (list <= keeper->log_number_) continue;
      // Of two the later one is complete: it was stored when it was written.
      keeper->log_number_ = list;
      names = std::move(stored.fd);
    } else if (const uint64_t memory = number_of(name, kMemory); memory > 0) {
      keeper->last_memory_ = std::max(keeper->last_memory_, memory);
      keeper->given_[memory] = std::move(stored.fd);
    } else {
      log_warning("the service manager has given a descriptor that is none of a mount's: " + name);
    }
  }
  bool damaged = false;
  if (names) keeper->found_ = KeptLog::read(names.get(), damaged);
  if (damaged) log_error("the list of names that an earlier daemon has left is damaged; some may be missing");
  return keeper;
}

Keeper::Together::Together(Keeper* keeper) : keeper_(keeper) {
  if (keeper_ == nullptr) return;
  const std::lock_guard lock(keeper_->mutex_);
  ++keeper_->together_;
}

Keeper::Together::~Together() {
  if (keeper_ == nullptr) return;
  const std::lock_guard lock(keeper_->mutex_);
  --keeper_->together_;
  try {
    keeper_->write();
  } catch (const std::exception& problem) {  // no memory; it is tried again with the next change
    log_error(problem.what());
  }
}

void Keeper::put(KeptEntry entry) {
  const std::lock_guard lock(mutex_);
  unwritten_.push_back(std::move(entry));
  write();
}

void Keeper::remove(uint64_t number) {
  put({.number = number});
}

void Keeper::write() {
  if (together_ > 0) return;
  if (!unwritten_.empty()) {
    if (const auto written = log_.append(unwritten_); !written)
      log_error("a change will be forgotten when this daemon ends: " + written.error().message);
    unwritten_.clear();
  }
  for (const uint64_t memory : std::exchange(undropped_, {})) {
    remove_stored(kMemory + std::to_string(memory));
    share_of_.erase(memory);
  }
  if (!log_.wasteful() || !begun_) return;
  auto smaller = log_.compacted();
  const auto done = smaller ? switch_to(*smaller) : Result<void>(Failure(smaller.error()));
  if (done)
    log_ = std::move(*smaller);
  else
    log_debug("the list of names stays long: " + done.error().message);
}

Result<void> Keeper::switch_to(const KeptLog& log) {
  const std::string name = kNames + std::to_string(log_number_ + 1);
  TRY(store_as(name, log.fd()));
  ++log_number_;
  for (const std::string& old : old_logs_) remove_stored(old);
  old_logs_ = {name};
  return {};
}

Result<void> Keeper::store_as(const std::string& name, int fd) {
  // One is left for a new list of names.
  const uint64_t limit = figures_.limit - (name.starts_with(kMemory) ? 1 : 0);
  if (figures_.descriptors >= limit)
    return fail(ENOSPC, "the service manager stores no more than " + std::to_string(figures_.limit) +
                            " descriptors for this daemon (FileDescriptorStoreMax=)");
  TRY(manager_.tell("FDSTORE=1\nFDPOLL=0\nFDNAME=" + name, fd));
  ++figures_.descriptors;
  return {};
}

void Keeper::remove_stored(const std::string& name) {
  --figures_.descriptors;
  if (const auto told = manager_.tell("FDSTOREREMOVE=1\nFDNAME=" + name); !told)
    log_warning(name + " stays stored: " + told.error().message);
}

uint64_t Keeper::store(int fd, const std::string& name, uid_t maker) {
  const std::lock_guard lock(mutex_);
  auto share = shares_.take_descriptors(maker, 1);
  const auto stored =
      share ? store_as(kMemory + std::to_string(last_memory_ + 1), fd)
            : fail(ENOSPC, "user " + std::to_string(maker) + " has as many stored as a user may");
  if (stored) {
    share_of_[++last_memory_] = std::move(*share);
    return last_memory_;
  }
  ++figures_.refused;
  log_warning(name + ": will be empty when this daemon has ended: " + stored.error().message);
  return 0;
}

void Keeper::drop(uint64_t memory) {
  const std::lock_guard lock(mutex_);
  if (memory == 0) return;
  undropped_.push_back(memory);
  write();
}

UniqueFd Keeper::take_memory(uint64_t memory, uid_t maker) {
  const std::lock_guard lock(mutex_);
  auto taken = given_.extract(memory);
  if (!taken) return {};
  if (auto share = shares_.take_descriptors(maker, 1)) share_of_[memory] = std::move(*share);
  return std::move(taken.mapped());
}

void Keeper::leave(KeptEntry entry) {
  (void)take_memory(entry.memory, entry.maker);
  put(std::move(entry));
}

void Keeper::begin() {
  const std::lock_guard lock(mutex_);
  if (const auto done = switch_to(log_); !done)
    log_error("changes will be forgotten when this daemon ends: " + done.error().message);
  // Of files that had gone when the program before ended, or had got other memory.
  for (const auto& [memory, fd] : given_) remove_stored(kMemory + std::to_string(memory));
  given_.clear();
  begun_ = true;
}

Keeper::Figures Keeper::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

}  // namespace dmabuffs
