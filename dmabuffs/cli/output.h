// SPDX-License-Identifier: MIT
/// Numbers, names and tables for people.
/// The progress line of long work: bytes, rate, time left, on one line of the terminal.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace dmabuffs::cli {

/// "0:07", "1:02:03".
std::string human_seconds(uint64_t seconds);

/// A name as `ls -b` shows it, but for spaces: "\n", "\033" for what would break the line or drive the
/// terminal, also for what is no UTF-8.
std::string escape_name(const std::string& name);
/// A sentence that may have names in it: the same, but backslashes stay single.
std::string escape_controls(const std::string& text);

/// At most `most` columns of `text`: of what is longer the `first` and the last, and between them "…".
std::string shortened(const std::string& text, size_t most, size_t first);

/// Columns as wide as their widest cell; the first row is the heading. `right`: columns (from 0) set to the
/// right.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& right);

class Progress {
 public:
  /// Shows nothing unless `wanted` and stderr is a terminal. `label`: what is worked on.
  Progress(std::string label, bool wanted);
  /// Wipes the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Called as often as one likes: the line appears after a second and changes a few times a second.
  void show(uint64_t bytes, uint64_t total);

  /// The line for `seconds` of work, at most `width` columns; `total` 0: not known.
  static std::string line(const std::string& label, uint64_t bytes, uint64_t total, double seconds,
                          size_t width);

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  bool visible_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now(), last_ = start_;
};

}  // namespace dmabuffs::cli
