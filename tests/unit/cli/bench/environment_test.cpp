// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/environment.h"

#include <sys/sysmacros.h>

#include "catch.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;
using namespace dmabuffs::cli::bench;

namespace {

class Fixture : public doctor_test::Files {
 public:
  Fixture() { machine.kernel = "6.12.1"; }
  [[nodiscard]] std::string fact(const std::string& name, dev_t device) const {
    for (const auto& [key, text] : environment(machine, device, {"0.1", "3.14", "", "loaded", "", "today"}))
      if (key == name) return text;
    return "no such fact";
  }
};

}  // namespace

TEST_CASE("a machine is described by what its files say", "[bench]") {
  const Fixture fixture;
  fixture.put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU\ncpu MHz\t\t: 999.876\n");
  fixture.put("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3000000\n");
  fixture.put("/sys/devices/system/cpu/cpu1/online", "1\n");
  fixture.put("/sys/devices/system/cpu/cpuidle/x", "");
  fixture.put("/proc/meminfo", "MemTotal: 1048576 kB\n");
  fixture.put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  fixture.put("/proc/self/mountinfo",
              "30 1 8:1 / / rw - ext4 /dev/sda1 rw,noatime\n31 30 0:40 / /b rw - btrfs /dev/sdb rw\n");
  CHECK(fixture.fact("kernel", 0) == "6.12.1");
  CHECK(fixture.fact("cpu", 0) == "2 x Some CPU, 999 MHz now, at most 3000 MHz");
  CHECK(fixture.fact("memory", 0).starts_with("1.0 GiB, pages of "));
  CHECK(fixture.fact("huge_pages", 0) == "0 B of hugetlb, transparent: madvise, shmem: not there");
  CHECK(fixture.fact("file_system", makedev(8, 1)) == "ext4 (rw,noatime)");
  CHECK(fixture.fact("file_system", makedev(9, 9)) == "not known");
  CHECK(fixture.fact("device", makedev(0, 40)) == "not known (/dev/sdb)");
  CHECK(fixture.fact("io_uring", 0) == "not allowed");
  CHECK(fixture.fact("versions", 0) == "dmabuffs 0.1, libfuse 3.14, no fio");
}

TEST_CASE("whether it is emulated is said as far as it is known", "[bench]") {
  CHECK(virtual_text("TCGTCGTCGTCG", "QEMU", "").starts_with("emulated (QEMU TCG"));
  CHECK(virtual_text("", "", "QEMU TCG CPU version 2.5+").starts_with("emulated (QEMU TCG"));
  CHECK(virtual_text("KVMKVMKVM", "QEMU", "") == "virtual (KVM)");
  CHECK(virtual_text("VMwareVMware", "", "") == "virtual (VMwareVMware)");
  CHECK(virtual_text("", "QEMU", "Cortex") == "virtual (QEMU), perhaps emulated");
  CHECK(virtual_text("", "Dell Inc.", "") == "no hypervisor seen (Dell Inc.)");
  CHECK(virtual_text("", "", "") == "not known");
}
