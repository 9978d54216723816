// SPDX-License-Identifier: MIT
#pragma once
#include <string>

namespace dmabuffs::cli {

/// Splits the process before anything is opened or started: the child does everything, the parent waits for
/// its word and exits with it, so that `mount` fails in the shell when the mount fails.
class Background {
 public:
  /// In the parent this does not return. The child has nothing open that the caller had, but for a
  /// `mountpoint` "/dev/fd/N"; its standard error is what the parent prints. In the foreground nothing is
  /// split, and only the programs that are run have nothing of the caller's open.
  static Background split(bool foreground, const std::string& mountpoint);
  /// From here on it goes on whatever becomes of the parent, whose death ended it before.
  static void outlive_caller();
  /// The mount is usable: lets the parent exit 0, tells systemd.
  void ready(const std::string& what);
  /// Failed: prints `message`, before it was usable by the parent, which exits with `status`. Returns it.
  int failed(const std::string& message, int status = 1);

 private:
  void tell(int status);
  bool told_ = true;  ///< the parent has gone, or there is none
};

}  // namespace dmabuffs::cli
