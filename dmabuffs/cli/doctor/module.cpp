// SPDX-License-Identifier: MIT
/// The kernel module: optional, what it makes better works without it. Who has it wants it loaded.
#include <algorithm>
#include <array>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/cli/doctor/checks.h"
#include "dmabuffs/cli/doctor/node.h"

namespace dmabuffs::cli {

namespace {

/// Where DKMS keeps the key it signs modules with: Debian's, Ubuntu's.
constexpr std::array kCertificates{"/var/lib/dkms/mok.pub", "/var/lib/shim-signed/mok/MOK.der"};
const std::string kVariables = "/sys/firmware/efi/efivars/";

/// Whether the kernel loads signed modules only.
bool refuses_unsigned(const Machine& machine) {
  const std::string lockdown = machine.text("/sys/kernel/security/lockdown").value_or("[none]");
  if (lockdown.find("[none]") == std::string::npos) return true;
  if (machine.text("/sys/module/module/parameters/sig_enforce") == "Y") return true;
  // Four bytes of attributes, then the value.
  const auto boot = machine.text(kVariables + "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
  return boot && boot->size() == 5 && boot->back() == 1;
}

/// Of shim's, which keeps the keys that the machine's owner trusts.
bool has_key(const Machine& machine, const std::string& variable, const std::string& key) {
  const auto in = [&](const std::string& path) {
    const auto keys = machine.text(path);
    return keys && !key.empty() && keys->find(key) != std::string::npos;
  };
  return in(kVariables + variable + "-605dab50-e046-4300-abb6-3dd810dd8b23") ||
         in("/sys/firmware/efi/mok-variables/" + variable);
}

/// A module that is built for this kernel, and not loaded.
Check unloaded(const Machine& machine, const std::string& name, const std::string& use) {
  Check check{name, CheckState::Warn, "dmabuf_file is not loaded: " + use, "modprobe dmabuf_file"};
  if (!refuses_unsigned(machine)) return check;
  const auto* const certificate = std::ranges::find_if(
      kCertificates, [&](const std::string& path) { return machine.text(path).has_value(); });
  if (certificate == kCertificates.end()) {
    check.detail += "; Secure Boot takes it only if it is signed (docs/kernel.md)";
    return check;
  }
  const std::string key = *machine.text(*certificate);
  if (has_key(machine, "MokListRT", key)) return check;
  if (has_key(machine, "MokNew", key)) {
    check.detail +=
        "; Secure Boot refuses it until this machine is started again and its key enrolled (Enroll MOK)";
    check.fix.clear();
    return check;
  }
  check.detail +=
      "; Secure Boot refuses it until the key that signed it is enrolled: the fix asks for a password, and "
      "the next start for the same one (Enroll MOK)";
  check.fix = with_program(machine, "mokutil", "mokutil", std::string("mokutil --import ") + *certificate);
  return check;
}

/// A module that DKMS has the sources of, and that is not built for this kernel.
Check unbuilt(const Machine& machine, const std::string& name, const std::string& use) {
  const std::string why = "dmabuf_file is not built for kernel " + machine.kernel + ": " + use;
  if (!machine.kernel_since(6, 12))
    return {name, CheckState::Ok, why + " (it needs Linux 6.12 or later)", ""};
  const std::string build = "dkms autoinstall -k " + machine.kernel;
  if (machine.exists("/lib/modules/" + machine.kernel + "/build"))
    return {name, CheckState::Warn, why, build};
  const std::string headers = "linux-headers-" + machine.kernel;
  if (!machine.exists("/usr/bin/apt-get"))
    return {name, CheckState::Warn, why + "; install its headers, then: " + build, ""};
  return {name, CheckState::Warn, why, "apt-get install -y " + headers + " && " + build};
}

}  // namespace

void check_module(const Machine& machine, std::vector<Check>& checks) {
  const std::string name = "kernel-module";
  if (machine.exists(kModuleNode)) {
    Check check = device_check(machine, {name, kModuleNode, "misc/dmabuf_file", "dmabuf_file", ""});
    const KernelModule module(machine.root + kModuleNode);
    if (check.state == CheckState::Missing)
      check.state = CheckState::Warn;
    else if (module.is_unfit())
      check = {name, CheckState::Warn, module.why_not(), ""};
    checks.push_back(std::move(check));
  } else {
    const std::string use = machine.exists("/dev/dma_heap")
                                ? "dma-heap buffers are copied by way of bounce memory"
                                : "it would add the heap direct; there are no dma-heaps here";
    if (machine.has_module("dmabuf_file"))
      checks.push_back(unloaded(machine, name, use));
    else if (machine.exists("/var/lib/dkms/dmabuf_file"))
      checks.push_back(unbuilt(machine, name, use));
    else
      checks.push_back({name, CheckState::Ok,
                        "dmabuf_file is not installed, nor has it to be: " + use +
                            " (package dmabuffs-dkms; docs/kernel.md)",
                        ""});
  }
}

}  // namespace dmabuffs::cli
