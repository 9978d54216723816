// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/checks.h"

#include <algorithm>

namespace dmabuffs::cli {

namespace {

Check kernel(const Machine& machine) {
  if (machine.kernel_since(5, 14)) return {"kernel", CheckState::Ok, machine.kernel, ""};
  return {"kernel", CheckState::Warn, machine.kernel + " is older than 5.14: not tested", ""};
}

}  // namespace

const char* to_string(CheckState state) {
  switch (state) {
    case CheckState::Ok:
      return "ok";
    case CheckState::Warn:
      return "warn";
    case CheckState::Missing:
      return "missing";
  }
  return "missing";
}

Diagnosis diagnose(const Machine& machine) {
  Diagnosis diagnosis;
  diagnosis.checks.push_back(kernel(machine));
  check_fuse(machine, diagnosis.checks);
  const auto missing = std::find_if(diagnosis.checks.begin(), diagnosis.checks.end(),
                                    [](const Check& check) { return check.state == CheckState::Missing; });
  if (missing != diagnosis.checks.end()) diagnosis.no_mount = missing->detail;
  check_devices(machine, diagnosis);
  check_module(machine, diagnosis.checks);
  check_memory(machine, diagnosis.checks);
  diagnosis.direct = diagnosis.no_mount.empty() &&
                     std::any_of(diagnosis.heaps.begin(), diagnosis.heaps.end(),
                                 [](const HeapReport& heap) { return heap.usable && heap.is_dmabuf; });
  return diagnosis;
}

}  // namespace dmabuffs::cli
