// SPDX-License-Identifier: MIT
/// Runs rows in turns, checks what they did, and sums up what they took.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dmabuffs/cli/bench/attempt.h"
#include "dmabuffs/cli/bench/file.h"
#include "dmabuffs/cli/bench/process.h"

namespace dmabuffs::cli::bench {

/// Of one run; milliseconds.
struct Sample {
  double create = 0, move = 0, close = 0;
  double cpu = 0;            ///< seconds, of all threads and processes that were seen
  std::optional<bool> cold;  ///< the file's pages were gone before; nothing: the kernel did not say
  [[nodiscard]] double total() const { return create + move + close; }
};

struct Summary {
  double median = 0, least = 0, most = 0;
};
/// All 0 of none.
Summary summarise(std::vector<double> values);

struct RowResult {
  const Row* row = nullptr;
  std::vector<Sample> samples;
  std::string path;   ///< as it was found to be
  std::string error;  ///< why it ended early; empty: it did not
  [[nodiscard]] Summary of(const std::function<double(const Sample&)>& what) const;
  [[nodiscard]] Summary total() const {
    return of([](const Sample& sample) { return sample.total(); });
  }
  [[nodiscard]] double median(double Sample::*what) const {
    return of([what](const Sample& s) { return s.*what; }).median;
  }
  /// Whether each run began without the file in the page cache.
  [[nodiscard]] bool cold() const;
};

struct Plan {
  std::vector<const Row*> rows;   ///< of one direction
  const Row* baseline = nullptr;  ///< first and last in each round; one of them, or null
  unsigned runs = 0;
  bool keep_caches = false;
  const BenchFile* source = nullptr;
  const BenchFile* scratch = nullptr;  ///< of rows that write
  uint64_t length = 0;                 ///< bytes that each row moves
  Stop* stop = nullptr;
  std::function<Result<void>(uint64_t bytes)> check_memory;
  std::function<void(const std::string& row, unsigned done, unsigned all)> progress;
};

struct Measured {
  std::vector<RowResult> rows;
  std::optional<bool> control;  ///< a changed byte was noticed; nothing: no row had content to change
};
/// EINTR: a signal came. EIO: FILE was changed meanwhile.
Result<Measured> measure(const Plan& plan);

}  // namespace dmabuffs::cli::bench
