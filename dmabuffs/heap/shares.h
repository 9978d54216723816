// SPDX-License-Identifier: MIT
/// What users may make besides the bytes of buffers, which the Budget counts: names with their attributes,
/// and descriptors and addresses of the daemon's.
#pragma once
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>

#include "dmabuffs/base/result.h"
#include "dmabuffs/heap/budget.h"

namespace dmabuffs {

class Shares;

/// Something taken from a user's shares; given back when it goes. Move-only. Must not outlive its Shares.
class Share {
 public:
  Share() = default;
  Share(Share&& other) noexcept;
  Share& operator=(Share&& other) noexcept;
  ~Share();
  /// Growing may be refused as Shares::take, and then nothing changes.
  Result<void> resize(uint64_t amount);
  [[nodiscard]] uint64_t amount() const { return amount_; }
  [[nodiscard]] uid_t uid() const { return uid_; }

 private:
  friend class Shares;
  Share(Shares* shares, unsigned kind, uid_t uid, uint64_t amount)
      : shares_(shares), kind_(kind), uid_(uid), amount_(amount) {}

  Shares* shares_ = nullptr;
  unsigned kind_ = 0;
  uid_t uid_ = 0;
  uint64_t amount_ = 0;
};

/// Thread-safe.
class Shares {
 public:
  /// For all users but the mount's owner together; each of them may have half.
  struct Limits {
    uint64_t names = 0;        ///< bytes
    uint64_t descriptors = 0;  ///< number
    uid_t owner = 0;           ///< has no share; what the machine lacks is refused all the same
    uint64_t addresses = uint64_t{32} << 40;  ///< bytes, of 128 TiB
    uint64_t views = uint64_t{256} << 20;     ///< bytes
  };
  /// A part of the memory and of the descriptors (RLIMIT_NOFILE) there are now.
  static Limits of_this_process(const Budget& budget, uid_t owner);
  /// What a name takes in the daemon. Its bytes are counted as the most there can be: a rename changes them.
  static constexpr uint64_t kName = 1024 + 256;

  Shares(Budget& budget, Limits limits)
      : budget_(budget),
        most_{limits.names, limits.descriptors, limits.addresses, limits.views},
        owner_(limits.owner) {}
  Shares(const Shares&) = delete;
  Shares& operator=(const Shares&) = delete;

  /// `bytes` of names and attributes. ENOSPC: the user's share is used up; ENOMEM as Budget::reserve.
  Result<Share> take_name(uid_t uid, uint64_t bytes) { return take(kNames, uid, bytes); }
  /// ENOSPC: the user's share is used up.
  Result<Share> take_descriptors(uid_t uid, uint64_t number) { return take(kDescriptors, uid, number); }
  /// `bytes` to map others' memory at, which may be so large and hold nothing. ENOSPC: as above.
  Result<Share> take_addresses(uid_t uid, uint64_t bytes) { return take(kAddresses, uid, bytes); }
  /// `bytes` to make a view in that is open. EMFILE: the user's share is used up; ENOMEM as take_name.
  Result<Share> take_view(uid_t uid, uint64_t bytes) { return take(kViews, uid, bytes); }

 private:
  friend class Share;
  static constexpr unsigned kNames = 0, kDescriptors = 1, kAddresses = 2, kViews = 3;
  struct Taken {
    uint64_t all = 0;
    std::map<uid_t, uint64_t> by_user;
  };

  Result<Share> take(unsigned kind, uid_t uid, uint64_t amount);
  Result<void> add(unsigned kind, uid_t uid, uint64_t amount);
  void give_back(unsigned kind, uid_t uid, uint64_t amount);
  [[nodiscard]] Error used_up(unsigned kind, uid_t uid, uint64_t has) const;

  Budget& budget_;
  const std::array<uint64_t, 4> most_;
  const uid_t owner_;
  std::mutex mutex_;
  std::array<Taken, 4> taken_;  // by others than the owner
};

}  // namespace dmabuffs
