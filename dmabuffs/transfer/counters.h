// SPDX-License-Identifier: MIT
/// What the transfers of a mount did, by path and by reason. Thread-safe.
#pragma once
#include <array>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <string>
#include <vector>

#include "dmabuffs/transfer/path.h"

namespace dmabuffs {

/// Why bytes did not take the best path.
struct Reason {
  Path path;
  std::string why;
  uint64_t bytes = 0;
};

/// Adds to the reasons of the same path and text; a new kind only while there are fewer than `most`.
void add_reason(std::vector<Reason>& all, const Reason& reason, size_t most);

/// An error, or a refusal, as told to who asked.
struct Refusal {
  std::string message;
  uint64_t times = 1;
  std::time_t last = 0;
};

class Counters {
 public:
  struct Tally {
    uint64_t operations = 0;
    uint64_t bytes = 0;
  };
  struct Snapshot {
    std::array<Tally, kPathCount> paths;
    std::vector<Reason> reasons;   ///< summed by path and text, at most 32 kinds
    std::vector<Refusal> refused;  ///< the last 16 messages, the latest last
  };
  void add(const PathBytes& bytes, const std::vector<Reason>& reasons);
  void refuse(const std::string& message);
  [[nodiscard]] Snapshot snapshot() const;

 private:
  mutable std::mutex mutex_;
  Snapshot totals_;
};

}  // namespace dmabuffs
