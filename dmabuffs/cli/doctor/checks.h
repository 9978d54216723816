// SPDX-License-Identifier: MIT
/// What `doctor` makes of a machine.
#pragma once
#include <string>
#include <vector>

#include "dmabuffs/cli/doctor/machine.h"

namespace dmabuffs::cli {

/// Ok: nothing to do. Warn: works, but not as well as it could. Missing: something can't work.
enum class CheckState { Ok, Warn, Missing };
const char* to_string(CheckState state);  // "ok", "warn", "missing"

struct Check {
  std::string name;
  CheckState state = CheckState::Ok;
  std::string detail;
  std::string fix;  ///< a shell command for root; empty: none is known
};

struct HeapReport {
  std::string name, kind;
  bool is_dmabuf = false;
  bool usable = false;
  std::string path;    ///< the best that transfers will take; empty when not usable
  std::string reason;  ///< why not a better one, or why not usable
};

struct Diagnosis {
  std::vector<Check> checks;
  std::vector<HeapReport> heaps;
  std::string no_mount;  ///< why none can be made by this user; empty: one can
  bool direct =
      false;  ///< a mount can be made, and direct I/O moves bytes between files and a real dma-buf of it
};

/// Where the kernel module's device is.
inline const std::string kModuleNode = "/dev/dmabuf_file";

Diagnosis diagnose(const Machine& machine);

// The parts; each appends what it finds.
void check_fuse(const Machine& machine, std::vector<Check>& checks);
void check_devices(const Machine& machine, Diagnosis& diagnosis);
void check_module(const Machine& machine, std::vector<Check>& checks);
void check_memory(const Machine& machine, std::vector<Check>& checks);

}  // namespace dmabuffs::cli
