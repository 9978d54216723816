// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>
#include <cstddef>
#include <memory>
#include <span>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

struct Watched;

/// Round access to a mapping whose memory its owner may take away: whoever touches what is gone gets zeros
/// and not SIGBUS, as with libwayland's mappings of its clients' memory. Anywhere else SIGBUS does what it
/// ever did. Of no use to threads that block SIGBUS. Move-only.
class BusFaultGuard {
 public:
  BusFaultGuard() = default;
  /// `gone` is set before anybody sees the zeros, which stay in the mapping. Both must outlive the guard.
  /// ENOMEM: there are too many at once.
  static Result<BusFaultGuard> over(std::span<std::byte> bytes, std::atomic<bool>& gone);

 private:
  struct Forget {
    void operator()(Watched* watched) const;
  };
  std::unique_ptr<Watched, Forget> watched_;
};

}  // namespace dmabuffs
