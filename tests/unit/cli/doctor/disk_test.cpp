// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/disk.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>

#include "catch.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;

namespace {

namespace fs = std::filesystem;

/// An NVMe disk with a partition behind an IOMMU, and a device mapper on that.
class Sysfs : public doctor_test::Files {
 public:
  Sysfs() {
    put(kDisk + "/queue/rotational", "0\n");
    put(kDisk + "/queue/max_sectors_kb", "128\n");
    put(kDisk + "/queue/max_hw_sectors_kb", "128\n");
    put(kDisk + "/device/model", "Fast 980   \n");
    put(kDisk + "/nvme0n1p2/partition", "2\n");
    put("/sys/kernel/iommu_groups/7/type", "DMA-FQ\n");
    link("/sys/devices/pci0000:00/0000:00:1d.0/iommu_group", "/sys/kernel/iommu_groups/7");
    link("/sys/dev/block/259:2", kDisk + "/nvme0n1p2");
    link("/sys/block/nvme0n1", kDisk);
    put("/sys/devices/virtual/block/dm-0/queue/rotational", "0\n");
    link("/sys/devices/virtual/block/dm-0/slaves/nvme0n1p2", kDisk + "/nvme0n1p2");
    link("/sys/dev/block/253:0", "/sys/devices/virtual/block/dm-0");
    link("/sys/block/dm-0", "/sys/devices/virtual/block/dm-0");
  }
  const std::string kDisk = "/sys/devices/pci0000:00/0000:00:1d.0/nvme/nvme0/nvme0n1";
};

}  // namespace

TEST_CASE("a file's disk is found below partitions and mappers", "[doctor]") {
  const Sysfs sysfs;
  for (const dev_t device : {makedev(259, 2), makedev(253, 0)}) {
    const auto disk = disk_of(sysfs.machine, device);
    REQUIRE(disk);
    CHECK(disk_text(*disk) ==
          "nvme0n1 (Fast 980): not rotational, max_sectors_kb 128 (hw 128), IOMMU DMA-FQ, which cuts its "
          "commands to 128 KiB");
    CHECK(disk->is_cut());
  }
  CHECK_FALSE(disk_of(sysfs.machine, makedev(1, 1)));
}

TEST_CASE("doctor: commands that are cut get the boot parameters that end it, and no fix: they protect",
          "[doctor]") {
  Sysfs sysfs;
  std::vector<Check> checks;
  check_memory(sysfs.machine, checks);
  const auto disk = std::ranges::find(checks, std::string("disk"), &Check::name);
  REQUIRE(disk != checks.end());
  CHECK(disk->state == CheckState::Warn);
  CHECK(disk->detail.ends_with("128 KiB; larger ones need iommu=pt, or iommu.passthrough=1, at boot"));
  CHECK(disk->fix.empty());
}

TEST_CASE("disks are what has a device, and only a translating IOMMU cuts", "[doctor]") {
  const Sysfs sysfs;
  REQUIRE(disks(sysfs.machine).size() == 1);
  sysfs.put("/sys/kernel/iommu_groups/7/type", "identity\n");
  CHECK_FALSE(disks(sysfs.machine).front().is_cut());
  CHECK(disk_text(disks(sysfs.machine).front()).ends_with("IOMMU identity"));
  fs::remove(sysfs.machine.root + "/sys/devices/pci0000:00/0000:00:1d.0/iommu_group");
  CHECK(disk_text(disks(sysfs.machine).front()).ends_with("IOMMU none"));
}
