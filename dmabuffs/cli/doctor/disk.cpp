// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/disk.h"

#include <sys/sysmacros.h>

#include <filesystem>

namespace dmabuffs::cli {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kCutKb = 128;  // NVME_PCI's limit where dma_opt_mapping_size() has one

std::string trimmed(std::string text) {
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

/// Of the nearest device on the way up that is in a group of the IOMMU; `directory` has no symbolic links.
std::string iommu_above(const Machine& machine, fs::path directory) {
  std::error_code failed;
  if (directory.string().find("/devices/virtual/") != std::string::npos) return {};
  for (; directory.has_relative_path() && directory.filename() != "devices";
       directory = directory.parent_path()) {
    if (!fs::exists(directory / "iommu_group", failed)) continue;
    const std::string group = fs::canonical(directory / "iommu_group", failed);
    return failed ? "" : machine.text(group.substr(machine.root.size()) + "/type").value_or("");
  }
  return "none";
}

/// `directory`: of the device in /sys/devices, with root before it.
Disk read_disk(const Machine& machine, const fs::path& directory) {
  const std::string below = directory.string().substr(machine.root.size());
  Disk disk{directory.filename(), trimmed(machine.text(below + "/device/model").value_or("")), {}};
  if (const auto turns = machine.number(below + "/queue/rotational")) disk.rotational = *turns != 0;
  disk.max_sectors_kb = machine.number(below + "/queue/max_sectors_kb").value_or(0);
  disk.max_hw_sectors_kb = machine.number(below + "/queue/max_hw_sectors_kb").value_or(0);
  disk.iommu = iommu_above(machine, directory);
  return disk;
}

}  // namespace

bool Disk::is_cut() const {
  return name.starts_with("nvme") && iommu.starts_with("DMA") && max_hw_sectors_kb != 0 &&
         max_hw_sectors_kb <= kCutKb;
}

std::optional<Disk> disk_of(const Machine& machine, dev_t device) {
  std::error_code failed;
  const std::string number = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  fs::path directory = fs::canonical(machine.root + "/sys/dev/block/" + number, failed);
  if (failed) return std::nullopt;
  if (fs::exists(directory / "partition", failed)) directory = directory.parent_path();
  constexpr int kMostLayers = 8;
  for (int i = 0; i < kMostLayers; ++i) {
    const fs::directory_iterator below(directory / "slaves", failed);
    if (failed || below == fs::directory_iterator()) break;
    const fs::path next = fs::canonical(below->path(), failed);
    if (failed) break;
    directory = fs::exists(next / "partition", failed) ? next.parent_path() : next;
  }
  return read_disk(machine, directory);
}

std::vector<Disk> disks(const Machine& machine) {
  std::vector<Disk> found;
  std::error_code failed;
  for (const std::string& name : machine.names("/sys/block")) {
    const fs::path directory = fs::canonical(machine.root + "/sys/block/" + name, failed);
    if (!failed && fs::exists(directory / "device", failed)) found.push_back(read_disk(machine, directory));
  }
  return found;
}

std::string disk_text(const Disk& disk) {
  std::string text = disk.name + (disk.model.empty() ? "" : " (" + disk.model + ")") + ":";
  if (disk.rotational) text += *disk.rotational ? " rotational," : " not rotational,";
  if (disk.max_sectors_kb != 0)
    text += " max_sectors_kb " + std::to_string(disk.max_sectors_kb) + " (hw " +
            std::to_string(disk.max_hw_sectors_kb) + "),";
  text += " IOMMU " + (disk.iommu.empty() ? "not known" : disk.iommu);
  if (disk.is_cut())
    text += ", which cuts its commands to " + std::to_string(disk.max_hw_sectors_kb) + " KiB";
  return text;
}

}  // namespace dmabuffs::cli
