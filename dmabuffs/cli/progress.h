// SPDX-License-Identifier: MIT
/// The progress line of long work: bytes, rate, time left, on one line of the terminal.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace dmabuffs::cli {

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
