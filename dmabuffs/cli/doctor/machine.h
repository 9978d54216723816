// SPDX-License-Identifier: MIT
/// The machine as `doctor` sees it: facts, no judgement.
#pragma once
#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dmabuffs/base/kernel_number.h"

namespace dmabuffs::cli {

struct Machine {
  std::string root;               ///< stands before /dev, /proc, /sys, /etc, /boot, /lib, /usr (for tests)
  std::string user;               ///< whom the answers are for
  std::vector<gid_t> groups;      ///< the user's, as the group database has them now
  std::string kernel;             ///< "6.12.117-amd64"
  int libfuse = 0;                ///< 317: version 3.17
  bool may_mount = false;         ///< has CAP_SYS_ADMIN here: mount(2) without fusermount3
  bool may_pass_through = false;  ///< has it in the machine's own user namespace
  uint64_t descriptor_limit = 0;  ///< hard limit of open files
  uint64_t memlock_limit = UINT64_MAX;  ///< bytes that a process may lock; RLIM_INFINITY: no limit
  bool io_uring = false;                ///< one can be made
  bool io_uring_dmabufs = false;        ///< that takes dma-bufs as registered buffers
  std::string no_mount,
      no_exec;  ///< why there can be no mount, or no private one; empty: there can, as far as is known
  std::string container;  ///< "docker", "chroot"...; empty: none that is known
  /// 0, or the errno with which the user can't open it for reading and writing. With root.
  std::function<int(const std::string& path)> open_error;

  /// `path` without root. Text of a file, last newline cut; nullopt where it can't be read.
  [[nodiscard]] std::optional<std::string> text(const std::string& path) const;
  [[nodiscard]] std::optional<uint64_t> number(const std::string& path) const;
  [[nodiscard]] std::optional<struct stat> attributes(const std::string& path) const;
  [[nodiscard]] bool exists(const std::string& path) const { return attributes(path).has_value(); }
  /// Names in a directory, sorted; empty when it can't be read.
  [[nodiscard]] std::vector<std::string> names(const std::string& path) const;
  /// Whether the kernel has the module `name` to be loaded.
  [[nodiscard]] bool has_module(const std::string& name) const;
  /// True when the kernel is `major`.`minor` or later.
  [[nodiscard]] bool kernel_since(int major, int minor) const {
    return dmabuffs::kernel_since(major, minor, kernel);
  }
};

/// This one. `for_sudo_user`: run by sudo, the answers are for the user who called it instead of for root.
Machine this_machine(bool for_sudo_user);

/// What its io_uring can do, in words.
std::string io_uring_text(const Machine& machine);

}  // namespace dmabuffs::cli
