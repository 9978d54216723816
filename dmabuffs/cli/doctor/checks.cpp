// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/checks.h"

#include <algorithm>

#include "dmabuffs/base/units.h"
#include "dmabuffs/heap/huge_pages.h"
#include "dmabuffs/heap/memory_gauge.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli {
namespace {

/// A buffer holds up to two descriptors (memfd and dma-buf).
constexpr uint64_t kEnoughDescriptors = 4096;
constexpr uint64_t kEnoughMemory = 64 * kMiB;

Check kernel(const Machine& machine) {
  if (machine.kernel_since(5, 14)) return {"kernel", CheckState::Ok, machine.kernel, ""};
  return {"kernel", CheckState::Warn, machine.kernel + " is older than 5.14: not tested", ""};
}

Check huge_pages(const Machine& machine) {
  const HugePages pages(machine.root + "/sys", machine.root);
  const uint64_t ram = MemoryGauge(machine.root).ram();
  const uint64_t available = pages.available();
  if (available > 0) return {"huge-pages", CheckState::Ok, size_text(available) + " can be had", ""};
  if (!machine.exists("/dev/udmabuf"))
    return {"huge-pages", CheckState::Ok, "off; only udmabuf, which is not here, would use them", ""};
  return {"huge-pages", CheckState::Warn,
          pages.configured() ? "all in use or held back by the cgroup: udmabuf buffers get 4 KiB "
                               "pages, direct I/O is slower"
                             : "off: udmabuf buffers get 4 KiB pages, direct I/O is slower",
          "sysctl -w vm.nr_overcommit_hugepages=" + std::to_string(pages.overcommit_needed(ram / 2))};
}

Check io_uring(const Machine& machine) {
  if (machine.io_uring) return {"io_uring", CheckState::Ok, "allowed", ""};
  const uint64_t off = machine.number("/proc/sys/kernel/io_uring_disabled").value_or(0);
  const std::string why = off != 0 ? "switched off (kernel.io_uring_disabled=" + std::to_string(off) + ")"
                                   : "not allowed here (seccomp, or a kernel without it)";
  // No fix: who switched it off did so for safety.
  return {"io_uring", CheckState::Warn, why + ": transfers have fewer requests in flight", ""};
}

Check descriptors(const Machine& machine) {
  const std::string limit = "at most " + std::to_string(machine.descriptor_limit) + " open files";
  if (machine.descriptor_limit >= kEnoughDescriptors) return {"descriptors", CheckState::Ok, limit, ""};
  return {"descriptors", CheckState::Warn, limit + "; a buffer needs up to 2 (log in again after the fix)",
          "echo '" + machine.user + " hard nofile 65536' >/etc/security/limits.d/dmabuffs.conf"};
}

Check memory(const Machine& machine) {
  const MemoryGauge gauge(machine.root);
  MemoryRoom room = gauge.room();
  if (const uint64_t most = gauge.ram() / 2; most < room.bytes)
    room = {most, "half of RAM, a mount's size unless it has another (-o size=)", ""};
  const std::string detail =
      size_text(room.bytes) + " for new buffers" + (room.why.empty() ? "" : ": " + room.why);
  return {"memory", room.bytes >= kEnoughMemory ? CheckState::Ok : CheckState::Warn, detail, ""};
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

void check_memory(const Machine& machine, std::vector<Check>& checks) {
  checks.push_back(huge_pages(machine));
  checks.push_back(memory(machine));
  checks.push_back(descriptors(machine));
  checks.push_back(io_uring(machine));
}

Diagnosis diagnose(const Machine& machine) {
  Diagnosis diagnosis;
  diagnosis.checks.push_back(kernel(machine));
  check_fuse(machine, diagnosis.checks);
  const auto missing = std::find_if(diagnosis.checks.begin(), diagnosis.checks.end(),
                                    [](const Check& check) { return check.state == CheckState::Missing; });
  if (missing != diagnosis.checks.end()) diagnosis.no_mount = missing->detail;
  check_devices(machine, diagnosis);
  check_memory(machine, diagnosis.checks);
  diagnosis.direct = diagnosis.no_mount.empty() &&
                     std::any_of(diagnosis.heaps.begin(), diagnosis.heaps.end(),
                                 [](const HeapReport& heap) { return heap.usable && heap.is_dmabuf; });
  return diagnosis;
}

}  // namespace dmabuffs::cli
