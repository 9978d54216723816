// SPDX-License-Identifier: MIT
/// Where dma-bufs come from, and which path transfers to them will take.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/cli/doctor/checks.h"
#include "dmabuffs/cli/doctor/node.h"
#include "dmabuffs/heap/drm_node.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/memory_gauge.h"
#include "dmabuffs/heap/message.h"
#include "dmabuffs/transfer/planner.h"

namespace dmabuffs::cli {

namespace {

constexpr uint64_t kEnoughPieces = 1024;  // the kernel's default of list_limit

const std::string kUdmabufNode = "/dev/udmabuf";
const std::string kParameters = "/sys/module/udmabuf/parameters/";

void udmabuf(const Machine& machine, std::vector<Check>& checks) {
  checks.push_back(
      device_check(machine, {"udmabuf", kUdmabufNode, "misc/udmabuf", "udmabuf", "CONFIG_UDMABUF"}));
  if (!machine.exists(kUdmabufNode)) return;
  if (const auto limit = machine.number(kParameters + "size_limit_mb")) {
    const uint64_t wanted = MemoryGauge(machine.root).ram() / 2 / kMiB;  // the default size of a mount
    const bool enough = *limit >= wanted;
    checks.push_back({"udmabuf-size", enough ? CheckState::Ok : CheckState::Warn,
                      "a buffer may have up to " + std::to_string(*limit) + " MiB (size_limit_mb)",
                      enough ? "" : "echo " + std::to_string(wanted) + " >" + kParameters + "size_limit_mb"});
  }
  if (const auto limit = machine.number(kParameters + "list_limit")) {
    const bool enough = *limit >= kEnoughPieces;
    checks.push_back(
        {"udmabuf-list", enough ? CheckState::Ok : CheckState::Warn,
         "a buffer may have up to " + std::to_string(*limit) + " parts (list_limit)",
         enough ? "" : "echo " + std::to_string(kEnoughPieces) + " >" + kParameters + "list_limit"});
  }
}

Check dma_heap(const Machine& machine, const std::string& check, const std::string& name) {
  return device_check(
      machine, {check, "/dev/dma_heap/" + name, "dma_heap/" + name, name + "_heap", "CONFIG_DMABUF_HEAPS"});
}

/// Newer kernels can have each heap as a module of its own: one that is there says nothing of the others.
void dma_heaps(const Machine& machine, std::vector<Check>& checks) {
  const std::vector<std::string> nodes = machine.names("/dev/dma_heap");
  for (const std::string& name : nodes) checks.push_back(dma_heap(machine, "dma-heap:" + name, name));
  const std::vector<std::string> known = machine.names("/sys/class/dma_heap");
  if (nodes.empty())
    checks.push_back(dma_heap(machine, "dma-heaps", known.empty() ? "system" : known.front()));
  else if (std::ranges::find(nodes, "system") == nodes.end() && machine.has_module("system_heap"))
    checks.push_back(dma_heap(machine, "dma-heap:system", "system"));
}

/// Of displays only: other devices' nodes in /dev/dri make no heap, and nobody misses it.
void displays(const Machine& machine, const std::vector<HeapReport>& heaps, std::vector<Check>& checks) {
  for (const std::string& name : machine.names("/dev/dri")) {
    const std::string heap = drm_heap_name(name);
    if (heap.empty()) continue;
    Check check = device_check(machine, {heap, "/dev/dri/" + name, "drm/" + name, "", ""});
    const bool shown = std::any_of(heaps.begin(), heaps.end(), [&](const auto& h) { return h.name == heap; });
    if (check.state == CheckState::Missing)
      check.state = CheckState::Warn;
    else
      check.detail += shown ? " and makes buffers" : ", but its driver makes no dumb buffers: no heap";
    checks.push_back(std::move(check));
  }
}

/// Bytes; 0: the kernel has no such line.
uint64_t meminfo(const Machine& machine, const std::string& item) {
  const std::string text = machine.text("/proc/meminfo").value_or("");
  const size_t line = text.find("\n" + item + ":");
  return line == std::string::npos ? 0 : std::strtoull(&text[line + item.size() + 2], nullptr, 10) * kKiB;
}

/// The heap of contiguous memory has another name on each board, and what a program opens is not always
/// there.
void contiguous(const Machine& machine, const std::string& cma, std::vector<Check>& checks) {
  const std::vector<std::string> nodes = machine.names("/dev/dma_heap");
  if (nodes.empty()) return;
  const std::string kUsual = "linux,cma";
  const uint64_t aside = meminfo(machine, "CmaTotal");
  Check check{"contiguous", CheckState::Ok, "", ""};
  if (!cma.empty() || std::ranges::find(nodes, "cma") != nodes.end()) {
    check.detail = "heaps/cma";
    if (!cma.empty()) check.detail += " is " + cma;
    if (aside > 0)
      check.detail += ", " + size_text(meminfo(machine, "CmaFree")) + " of " + size_text(aside) +
                      " contiguous memory free";
    if (!cma.empty() && cma != kUsual)
      check.detail +=
          "; a program that looks for the usual name needs a link: ln -s " + cma + " /dev/dma_heap/" + kUsual;
  } else {
    check.detail = std::string("no heap of contiguous memory, for devices that no IOMMU serves") +
                   (machine.names("/sys/class/iommu").empty() ? " (there is no IOMMU here)" : "");
    if (aside == 0) {
      check.detail += ": cma=256M at boot makes one, if the kernel has CONFIG_DMABUF_HEAPS_CMA";
    } else if (machine.has_module("cma_heap") && !machine.exists("/sys/module/cma_heap")) {
      check.state = CheckState::Warn;
      check.fix = "modprobe cma_heap";
    } else {
      check.detail += ": the kernel set " + size_text(aside) + " aside, but has no CONFIG_DMABUF_HEAPS_CMA";
    }
  }
  checks.push_back(std::move(check));
}

std::string node_of(const Heap& heap) {
  switch (heap.kind()) {
    case HeapKind::Udmabuf:
      return kUdmabufNode;
    case HeapKind::Module:
      return kModuleNode;
    case HeapKind::Drm:
      return "/dev/dri/" + heap.name().substr(heap.name().find('-') + 1);
    default:
      return "/dev/dma_heap/" + heap.name();
  }
}

/// Whether the module reaches the pages of its buffers (kernel/pages.c).
bool module_knows(const Heap& heap, const Machine& machine) {
  if (heap.kind() == HeapKind::DmaHeap) return heap.name() == "system";
  if (heap.kind() != HeapKind::Drm) return true;
  const std::string card = heap.name().substr(heap.name().find('-') + 1);
  std::error_code none;
  const auto driver =
      std::filesystem::read_symlink(machine.root + "/sys/class/drm/" + card + "/device/driver", none);
#ifdef __x86_64__
  return driver.filename().string().starts_with("virtio");  // virtio_gpu, or virtio-pci below it
#else
  return false;
#endif
}

/// What the mount itself would find and say, so that the answers can't differ.
std::vector<HeapReport> heaps(const Machine& machine, std::string& cma) {
  Budget budget({});
  auto registry = HeapRegistry::make(budget, {}, HeapPlaces{machine.root + "/dev", machine.root + "/sys"});
  std::vector<HeapReport> reports;
  const bool module = machine.open_error(machine.root + kModuleNode) == 0 &&
                      KernelModule(machine.root + kModuleNode).can_transfer();
  if (!registry) return reports;
  cma = (*registry)->cma();
  for (const auto& heap : (*registry)->scan()) {
    HeapReport report{heap->name(), to_string(heap->kind()), heap->is_dmabuf(), true, "", ""};
    const std::string node = node_of(*heap);
    if (const int error = report.is_dmabuf ? machine.open_error(machine.root + node) : 0; error != 0) {
      report.usable = false;
      report.reason = node + ": " + std::strerror(error);
    } else {
      report.reason = heap->not_pinnable_reason();
      Situation aligned;
      aligned.length = kMiB;
      aligned.not_pinnable_reason = report.reason;
      const bool by_kernel = module && module_knows(*heap, machine);
      if (by_kernel) aligned.not_by_kernel_reason.clear();
      report.path = to_string(plan(aligned).parts.front().path);
      if (by_kernel) report.reason.clear();
    }
    if (!report.is_dmabuf) report.reason = "ordinary memory, no dma-buf: devices can't import it";
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace

void check_devices(const Machine& machine, Diagnosis& diagnosis) {
  udmabuf(machine, diagnosis.checks);
  dma_heaps(machine, diagnosis.checks);
  std::string cma;
  diagnosis.heaps = heaps(machine, cma);
  contiguous(machine, cma, diagnosis.checks);
  displays(machine, diagnosis.heaps, diagnosis.checks);
}

}  // namespace dmabuffs::cli
