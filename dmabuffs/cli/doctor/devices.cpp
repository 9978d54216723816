// SPDX-License-Identifier: MIT
/// Where dma-bufs come from, and which path transfers to them will take.
#include <algorithm>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/units.h"
#include "dmabuffs/cli/doctor/checks.h"
#include "dmabuffs/cli/doctor/nodes.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/memory_gauge.h"
#include "dmabuffs/transfer/planner.h"

namespace dmabuffs::cli {
namespace {

constexpr uint64_t kEnoughPieces = 1024;  // the kernel's default of list_limit

const std::string kUdmabufNode = "/dev/udmabuf";
const std::string kModuleNode = "/dev/dmabuf_file";
const std::string kParameters = "/sys/module/udmabuf/parameters/";

Check node_check(const Machine& machine, const std::string& name, const std::string& node) {
  if (machine.can_open(machine.root + node)) return {name, CheckState::Ok, node + " can be opened", ""};
  return denied_node(machine, name, node);
}

void udmabuf(const Machine& machine, std::vector<Check>& checks) {
  if (!machine.exists(kUdmabufNode)) {
    checks.push_back(
        absent_node(machine, "udmabuf", kUdmabufNode, "misc/udmabuf", "udmabuf", "CONFIG_UDMABUF"));
    return;
  }
  checks.push_back(node_check(machine, "udmabuf", kUdmabufNode));
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

void dma_heaps(const Machine& machine, std::vector<Check>& checks) {
  const std::vector<std::string> nodes = machine.names("/dev/dma_heap");
  for (const std::string& name : nodes)
    checks.push_back(node_check(machine, "dma-heap:" + name, "/dev/dma_heap/" + name));
  if (!nodes.empty()) return;
  const std::vector<std::string> known = machine.names("/sys/class/dma_heap");
  const std::string name = known.empty() ? "system" : known.front();
  checks.push_back(absent_node(machine, "dma-heaps", "/dev/dma_heap/" + name, "dma_heap/" + name,
                               name + "_heap", "CONFIG_DMABUF_HEAPS"));
}

std::string node_of(const Heap& heap) {
  switch (heap.kind()) {
    case HeapKind::Udmabuf:
      return kUdmabufNode;
    case HeapKind::Module:
      return kModuleNode;
    default:
      return "/dev/dma_heap/" + heap.name();
  }
}

/// Optional: what it makes better works without it.
void kernel_module(const Machine& machine, std::vector<Check>& checks) {
  const std::string name = "kernel-module";
  if (machine.exists(kModuleNode)) {
    Check check = node_check(machine, name, kModuleNode);
    const KernelModule module(machine.root + kModuleNode);
    if (check.state == CheckState::Missing)
      check.state = CheckState::Warn;
    else if (module.is_unfit())
      check = {name, CheckState::Warn, module.why_not(), ""};
    checks.push_back(std::move(check));
  } else {
    const bool built = machine.has_module("dmabuf_file");
    checks.push_back({name, built ? CheckState::Warn : CheckState::Ok,
                      built ? "dmabuf_file is not loaded: dma-heap buffers are copied by way of bounce memory"
                            : "dmabuf_file is not installed, nor has it to be: dma-heap buffers are copied "
                              "by way of bounce memory "
                              "(docs/kernel.md tells how to build it)",
                      built ? "modprobe dmabuf_file" : ""});
  }
}

/// What the mount itself would find and say, so that the answers can't differ.
std::vector<HeapReport> heaps(const Machine& machine) {
  Budget budget({});
  auto registry = HeapRegistry::make(budget, {}, HeapPlaces{machine.root + "/dev", machine.root + "/sys"});
  std::vector<HeapReport> reports;
  const bool by_kernel = machine.exists(kModuleNode) && machine.can_open(machine.root + kModuleNode) &&
                         KernelModule(machine.root + kModuleNode).can_transfer();
  if (!registry) return reports;
  for (const auto& heap : (*registry)->scan()) {
    HeapReport report{heap->name(), to_string(heap->kind()), heap->is_dmabuf(), true, "", ""};
    const std::string node = node_of(*heap);
    if (report.is_dmabuf && !machine.can_open(machine.root + node)) {
      report.usable = false;
      report.reason = node + ": permission denied";
    } else {
      report.reason = heap->not_pinnable_reason();
      Situation aligned;
      aligned.length = kMiB;
      aligned.not_pinnable_reason = report.reason;
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
  kernel_module(machine, diagnosis.checks);
  diagnosis.heaps = heaps(machine);
}

}  // namespace dmabuffs::cli
