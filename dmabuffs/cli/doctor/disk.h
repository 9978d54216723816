// SPDX-License-Identifier: MIT
/// The disks that direct I/O goes to, as sysfs describes them.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dmabuffs/cli/doctor/machine.h"

namespace dmabuffs::cli {

struct Disk {
  std::string name;   ///< "nvme0n1"
  std::string model;  ///< empty: it tells none
  std::optional<bool> rotational;
  uint64_t max_sectors_kb = 0;     ///< the largest request that is sent to it, KiB; 0: it does not say
  uint64_t max_hw_sectors_kb = 0;  ///< the largest that it could take
  /// What the IOMMU does for it: "DMA", "DMA-FQ" (translates), "identity" (lets through); "none": it has
  /// none; empty: not known.
  std::string iommu;

  /// Whether its commands are cut by the IOMMU: NVMe drivers keep mappings that are translated to 128 KiB.
  [[nodiscard]] bool is_cut() const;
};

/// That of the block device `device` (a partition's whole disk; of a device mapper the first below it);
/// nothing: there is no block device of that number.
std::optional<Disk> disk_of(const Machine& machine, dev_t device);
/// All that are no loop device, memory or the like.
std::vector<Disk> disks(const Machine& machine);
/// "nvme0n1 (Samsung 980): no disk that turns, max_sectors_kb 128 of 128, IOMMU DMA-FQ"
std::string disk_text(const Disk& disk);

}  // namespace dmabuffs::cli
