// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/environment.h"

#include <sys/sysmacros.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>

#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/cli/doctor/disk.h"
#include "dmabuffs/heap/huge_pages.h"
#include "dmabuffs/heap/memory_gauge.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli::bench {

namespace {

/// The first line "KEY : VALUE" of /proc/cpuinfo.
std::string cpu_line(const std::string& cpuinfo, const std::string& key) {
  std::istringstream lines(cpuinfo);
  for (std::string line; std::getline(lines, line);)
    if (const size_t colon = line.find(": "); line.starts_with(key) && colon != std::string::npos)
      return line.substr(colon + 2);
  return {};
}

std::string clock_text(const Machine& machine, const std::string& cpuinfo) {
  const std::string policy = "/sys/devices/system/cpu/cpu0/cpufreq/";
  const auto most = machine.number(policy + "cpuinfo_max_freq");
  std::string text = cpu_line(cpuinfo, "cpu MHz");
  text = text.empty() ? "clock not known" : text.substr(0, text.find('.')) + " MHz now";
  if (most) text += ", at most " + std::to_string(*most / 1000) + " MHz";
  if (const auto governor = machine.text(policy + "scaling_governor")) text += ", governor " + *governor;
  return text;
}

std::string cpu_text(const Machine& machine) {
  const std::string cpuinfo = machine.text("/proc/cpuinfo").value_or("");
  std::string model = cpu_line(cpuinfo, "model name");
  if (model.empty()) model = machine.text("/proc/device-tree/model").value_or("");
  std::erase(model, '\0');
  const auto names = machine.names("/sys/devices/system/cpu");
  const auto count = std::count_if(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("cpu") && name.find_first_not_of("0123456789", 3) == std::string::npos &&
           name.size() > 3;
  });
  return std::to_string(count) + " x " + (model.empty() ? "model not known" : model) + ", " +
         clock_text(machine, cpuinfo);
}

/// What is chosen of "always [madvise] never".
std::string chosen(const Machine& machine, const std::string& path) {
  const std::string text = machine.text(path).value_or("");
  const size_t start = text.find('['), end = text.find(']');
  return start < end && end != std::string::npos ? text.substr(start + 1, end - start - 1) : "not there";
}

std::string huge_text(const Machine& machine) {
  const std::string folder = "/sys/kernel/mm/transparent_hugepage/";
  return size_text(HugePages(machine.root + "/sys", machine.root).available()) +
         " of hugetlb, transparent: " + chosen(machine, folder + "enabled") +
         ", shmem: " + chosen(machine, folder + "shmem_enabled");
}

/// The mount that files of `device` lie in: the last of those that are the same file system.
const MountEntry* mount_of(const std::vector<MountEntry>& table, dev_t device) {
  const auto found = std::find_if(table.rbegin(), table.rend(),
                                  [device](const auto& each) { return each.device == device; });
  return found == table.rend() ? nullptr : &*found;
}

/// Some file systems (btrfs) have a device number of their own, and are mounted from the disk's.
std::string device_text(const Machine& machine, dev_t device, const MountEntry* mount) {
  auto disk = disk_of(machine, device);
  if (!disk && mount != nullptr && mount->source.starts_with("/dev/"))
    if (const auto node = machine.attributes(mount->source); node && S_ISBLK(node->st_mode))
      disk = disk_of(machine, node->st_rdev);
  return disk ? disk_text(*disk) : "not known (" + (mount != nullptr ? mount->source : "no mount") + ")";
}

}  // namespace

Environment environment(const Machine& machine, dev_t device, const Programs& programs) {
  const auto table = parse_mount_table(machine.text("/proc/self/mountinfo").value_or(""));
  const MountEntry* const mount = mount_of(table, device);
  const std::string vendor = machine.text("/sys/class/dmi/id/sys_vendor").value_or("");
  const std::string model = cpu_line(machine.text("/proc/cpuinfo").value_or(""), "model name");
  return {
      {"date", programs.date},
      {"kernel", machine.kernel},
      {"machine", virtual_text(programs.hypervisor, vendor, model)},
      {"cpu", cpu_text(machine)},
      {"memory", size_text(MemoryGauge(machine.root).ram()) + ", pages of " +
                     size_text(static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)))},
      {"huge_pages", huge_text(machine)},
      {"file_system", mount != nullptr ? mount->type + " (" + mount->options + ")" : "not known"},
      {"device", device_text(machine, device, mount)},
      {"io_uring", io_uring_text(machine)},
      {"module", programs.module},
      {"versions", "dmabuffs " + programs.dmabuffs + ", libfuse " + programs.libfuse + ", " +
                       (programs.fio.empty() ? "no fio" : programs.fio)},
  };
}

std::string hypervisor_signature() {
#ifdef __x86_64__
  constexpr unsigned kFeatures = 1, kHypervisorBit = 1U << 31U, kHypervisorLeaf = 0x40000000;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(kFeatures, &a, &b, &c, &d) == 0 || (c & kHypervisorBit) == 0) return {};
  __cpuid(kHypervisorLeaf, a, b, c, d);
  std::array<char, 13> text{};
  std::memcpy(text.data(), &b, sizeof b);
  std::memcpy(text.data() + 4, &c, sizeof c);
  std::memcpy(text.data() + 8, &d, sizeof d);
  std::string name = text.data();
  while (name.ends_with(' ')) name.pop_back();
  return name;
#else
  return {};
#endif
}

std::string virtual_text(const std::string& signature, const std::string& vendor, const std::string& cpu) {
  if (signature == "TCGTCGTCGTCG" || cpu.find("TCG") != std::string::npos)
    return "emulated (QEMU TCG): only ratios mean something, and those of CPU work little";
  if (signature.starts_with("KVMKVMKVM")) return "virtual (KVM)";
  if (!signature.empty()) return "virtual (" + signature + ")";
  if (vendor == "QEMU") return "virtual (QEMU), perhaps emulated";
  return vendor.empty() ? "not known" : "no hypervisor seen (" + vendor + ")";
}

}  // namespace dmabuffs::cli::bench
