// SPDX-License-Identifier: MIT
/// What buffers are made of, and what moves bytes into them: memory, descriptors, io_uring, disks.
#include <sys/resource.h>

#include "dmabuffs/base/range.h"
#include "dmabuffs/cli/doctor/checks.h"
#include "dmabuffs/cli/doctor/disk.h"
#include "dmabuffs/heap/huge_pages.h"
#include "dmabuffs/heap/memory_gauge.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli {

namespace {

/// A buffer holds up to two descriptors (memfd and dma-buf).
constexpr uint64_t kEnoughDescriptors = 4096;
constexpr uint64_t kEnoughMemory = 64 * kMiB;

Check huge_pages(const Machine& machine) {
  const HugePages pages(machine.root + "/sys", machine.root);
  const uint64_t ram = MemoryGauge(machine.root).ram();
  const uint64_t available = pages.available();
  if (pages.in_memory_files()) return {"huge-pages", CheckState::Ok, "memory files have them", ""};
  const bool udmabuf = machine.exists("/dev/udmabuf");
  const bool made = machine.kernel_since(7, 3);  // for udmabuf, too: UdmabufSource::misleads_importers
  if (pages.by_collapse() && (!udmabuf || made))
    return {"huge-pages", CheckState::Ok,
            std::string(udmabuf ? "memfd and udmabuf" : "memfd") +
                " buffers are made of them where whole ones are filled",
            ""};
  if (available > 0 && udmabuf)
    return {"huge-pages", CheckState::Ok, size_text(available) + " can be had for udmabuf", ""};
  const std::string why = pages.configured() && udmabuf ? "all in use or held back by the cgroup" : "off";
  constexpr const char* kSwitch = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
  return {"huge-pages", CheckState::Warn,
          why + (pages.by_collapse() ? ": udmabuf buffers get" : ": memfd and udmabuf buffers get") +
              " 4 KiB pages, the first load into one is slower",
          machine.exists(kSwitch)
              ? std::string("echo advise >") + kSwitch
              : "sysctl -w vm.nr_overcommit_hugepages=" + std::to_string(pages.overcommit_needed(ram / 2))};
}

/// Transfers don't use registered dma-bufs: they move between files and buffers, not raw block devices.
Check io_uring(const Machine& machine) {
  if (machine.io_uring) return {"io_uring", CheckState::Ok, io_uring_text(machine), ""};
  const uint64_t off = machine.number("/proc/sys/kernel/io_uring_disabled").value_or(0);
  const std::string why = off != 0 ? "switched off (kernel.io_uring_disabled=" + std::to_string(off) + ")"
                                   : "not allowed here (seccomp, or a kernel without it)";
  // No fix: who switched it off did so for safety.
  return {"io_uring", CheckState::Warn, why + ": transfers have fewer requests in flight", ""};
}

/// What direct I/O meets below the file system. No fix: how the IOMMU works is said at boot, and it protects.
void disk_checks(const Machine& machine, std::vector<Check>& checks) {
  for (const Disk& disk : disks(machine)) {
    const std::string remedy =
        disk.is_cut() ? "; larger ones need iommu=pt, or iommu.passthrough=1, at boot" : "";
    checks.push_back(
        {"disk", disk.is_cut() ? CheckState::Warn : CheckState::Ok, disk_text(disk) + remedy, ""});
  }
}

/// A line that sets one of pam_limits' for the user, in a file that no other line of ours writes.
std::string set_limit(const Machine& machine, const std::string& limit, const std::string& item) {
  return "echo '" + machine.user + " " + limit + "' >/etc/security/limits.d/" + machine.user + "-" + item +
         ".conf";
}

Check descriptors(const Machine& machine) {
  const std::string limit = "at most " + std::to_string(machine.descriptor_limit) + " open files";
  if (machine.descriptor_limit >= kEnoughDescriptors) return {"descriptors", CheckState::Ok, limit, ""};
  return {"descriptors", CheckState::Warn, limit + "; a buffer needs up to 2 (log in again after the fix)",
          set_limit(machine, "hard nofile 65536", "nofile")};
}

/// No fix: no mount needs more, and who sets it takes memory from all.
Check locked_memory(const Machine& machine) {
  if (machine.memlock_limit == RLIM_INFINITY) return {"memlock", CheckState::Ok, "no limit", ""};
  return {"memlock", CheckState::Ok,
          size_text(machine.memlock_limit) +
              " (ulimit -l): enough for a mount; a program that registers buffers with io_uring or RDMA may "
              "need more: " +
              set_limit(machine, "- memlock unlimited", "memlock"),
          ""};
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

void check_memory(const Machine& machine, std::vector<Check>& checks) {
  checks.push_back(huge_pages(machine));
  checks.push_back(memory(machine));
  checks.push_back(descriptors(machine));
  checks.push_back(locked_memory(machine));
  checks.push_back(io_uring(machine));
  disk_checks(machine, checks);
}

}  // namespace dmabuffs::cli
