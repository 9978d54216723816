// SPDX-License-Identifier: MIT
/// Programs that `bench` runs, and Ctrl-C meanwhile.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "dmabuffs/base/cancel.h"
#include "dmabuffs/cli/bench/attempt.h"
#include "dmabuffs/cli/bench/file.h"
#include "dmabuffs/cli/cp/interrupt.h"

namespace dmabuffs::cli::bench {

/// While it lives signals that end the program only ask it to end.
class Stop {
 public:
  /// Whether one came; looks.
  bool asked();
  [[nodiscard]] int signal() const { return signal_; }
  [[nodiscard]] int fd() const { return interrupt_.fd(); }

 private:
  Interrupt interrupt_;
  int signal_ = 0;
};

struct Ended {
  std::string output;      ///< standard output
  double cpu_seconds = 0;  ///< of it and the children it waited for
};
/// Runs a program to its end; a signal ends it, too (EINTR). EIO, with what it said: it failed. ENOENT: there
/// is none of that name.
Result<Ended> run_program(std::vector<std::string> words, Stop& stop);

/// What fio does with a file by io_uring and O_DIRECT, by its own clock.
std::unique_ptr<Attempt> by_fio(Direction direction, const BenchFile& file, Stop& stop);
/// "fio-3.33"; empty: there is none.
std::string fio_version(Stop& stop);

}  // namespace dmabuffs::cli::bench
