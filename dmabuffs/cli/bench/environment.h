// SPDX-License-Identifier: MIT
/// Where a table was measured: what somebody else needs to know to compare theirs with it.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "dmabuffs/cli/doctor/machine.h"

namespace dmabuffs::cli::bench {

/// What sysfs and /proc do not tell.
struct Programs {
  std::string dmabuffs, libfuse, fio;  ///< versions; fio empty: there is none
  std::string module;                  ///< "loaded", or why it can't be used
  std::string hypervisor;              ///< see hypervisor_signature()
  std::string date;                    ///< UTC
};

/// "kernel", "6.12.9-amd64"...: names are short and without spaces, and keep their meaning.
using Environment = std::vector<std::pair<std::string, std::string>>;
/// `device`: st_dev of FILE.
Environment environment(const Machine& machine, dev_t device, const Programs& programs);

/// What the CPU says of who runs it: "KVMKVMKVM", "TCGTCGTCGTCG"; empty: nobody, or it can't be asked.
std::string hypervisor_signature();
/// The same for people: "emulated (QEMU TCG: ...)". `vendor`: of the machine, by its firmware.
std::string virtual_text(const std::string& signature, const std::string& vendor, const std::string& cpu);

}  // namespace dmabuffs::cli::bench
