// SPDX-License-Identifier: MIT
#pragma once
#include <string>

#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs::cli {

/// Splits the process before anything is opened or started: the child does everything, the parent waits for
/// its word and exits with it, so that `mount` fails in the shell when the mount fails.
class Background {
 public:
  /// In the foreground nothing is split. In the parent this does not return.
  static Background split(bool foreground);
  /// The mount is usable: lets the parent exit 0, closes the terminal, tells systemd.
  void ready(const std::string& what);
  /// Failed before it was usable: the parent (or we) print `message` and exit with `status`, which is
  /// returned.
  int failed(const std::string& message, int status = 1);

 private:
  bool foreground_ = true;
  UniqueFd parent_;
};

}  // namespace dmabuffs::cli
