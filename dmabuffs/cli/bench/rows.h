// SPDX-License-Identifier: MIT
/// The table of rows.
#pragma once
#include <string>
#include <vector>

#include "dmabuffs/cli/bench/by_hand.h"
#include "dmabuffs/cli/bench/ours.h"

namespace dmabuffs::cli::bench {

/// What rows are made of, and what decides whether they can run here. All that it points to outlives them.
struct Setting {
  const BenchFile* source = nullptr;
  const BenchFile* scratch = nullptr;  ///< null: nothing is to be written
  Cut reads, writes;
  Ours* ours = nullptr;
  std::vector<std::shared_ptr<Heap>> heaps;  ///< that ours are measured with
  const BenchMount* mount = nullptr;
  std::string no_mount;  ///< why there is none
  const KernelModule* module = nullptr;
  std::string fio;  ///< its version; empty: there is none
  Stop* stop = nullptr;
};

inline constexpr const char* kReadCeiling = "ceiling-read";
inline constexpr const char* kWriteCeiling = "ceiling-write";

/// All rows, in the order in which they are shown; those to write only with `scratch`. To add one by hand: a
/// line of the table in rows.cpp.
std::vector<Row> all_rows(const Setting& setting);

}  // namespace dmabuffs::cli::bench
