// SPDX-License-Identifier: MIT
/// The list of names that are kept: a memfd, to which is only appended. The last entry of a number counts.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "dmabuffs/base/range.h"
#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/tree/keep/entry.h"

namespace dmabuffs {

class KeptLog {
 public:
  static Result<KeptLog> make();
  /// What the log in `fd` says, as far as it can be read: whoever wrote it may have ended in the middle of an
  /// append. Sets `damaged` if it is none, or has what nobody can have written.
  static std::vector<KeptEntry> read(int fd, bool& damaged);

  /// All of `entries` or, if this program ends meanwhile, none. ENOMEM: none.
  Result<void> append(const std::vector<KeptEntry>& entries);
  /// Whether most of it does not count any more.
  [[nodiscard]] bool wasteful() const { return end_ > kWorthIt && end_ / 4 > live_bytes_; }
  /// One with what counts.
  [[nodiscard]] Result<KeptLog> compacted() const;
  [[nodiscard]] int fd() const { return file_.get(); }

 private:
  static constexpr uint64_t kWorthIt = uint64_t{1} << 20;

  explicit KeptLog(UniqueFd file) : file_(std::move(file)) {}

  UniqueFd file_;
  uint64_t end_ = 0;
  std::map<uint64_t, Range> live_;  ///< where the entry of each number is
  uint64_t live_bytes_ = 0;
};

}  // namespace dmabuffs
