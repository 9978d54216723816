// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <filesystem>
#include <mutex>
#include <set>
#include <utility>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/heap/dma_heap.h"
#include "dmabuffs/heap/drm_heap.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/memfd_heap.h"
#include "dmabuffs/heap/module_heap.h"
#include "dmabuffs/heap/udmabuf_heap.h"

namespace dmabuffs {

namespace {

const char* const kMemfd = "memfd";
const char* const kUdmabuf = "udmabuf";
const char* const kModuleNode = "/dmabuf_file";
const char* const kCards = "/dri/";

const char* const kCma = "cma";
/// What the heap of the default CMA area is called: since 6.17 the first; before by where the area comes from
/// (Documentation/userspace-api/dma-buf-heaps.rst).
constexpr std::array kCmaNames{"default_cma_region", "linux,cma", "reserved", "default-pool"};

/// See HeapRegistry::cma.
template <class Names>
std::string default_cma(const Names& there) {
  if (there.contains(kCma)) return {};
  const auto* const found =
      std::ranges::find_if(kCmaNames, [&](const char* name) { return there.contains(name); });
  return found == kCmaNames.end() ? std::string() : *found;
}

Result<HugeUse> parse_huge(const std::string& value) {
  if (value == "auto") return HugeUse::Auto;
  if (value == "never") return HugeUse::Never;
  if (value == "always") return HugeUse::Always;
  return fail(EINVAL,
              "--heap udmabuf: huge=" + value + " is not known; use huge=auto, huge=never or huge=always");
}

/// Checks one --heap; sets `huge` where it says so.
Result<void> check_option(const HeapOption& option, HugeUse& huge) {
  if (option.name.empty() || option.name.find('/') != std::string::npos)
    return fail(EINVAL, "--heap: \"" + option.name + "\" can't be a heap's name");
  for (const auto& [key, value] : option.settings) {
    if (option.name != kUdmabuf)
      return fail(EINVAL,
                  "--heap " + option.name + ": unknown setting " + key + "; only udmabuf has one, huge=");
    if (key != "huge")
      return fail(EINVAL, "--heap udmabuf: unknown setting " + key + "; use huge=auto|never|always");
    auto parsed = TRY(parse_huge(value));
    huge = parsed;
  }
  return {};
}

class MachineHeaps final : public HeapRegistry {
 public:
  MachineHeaps(Budget& budget, std::vector<HeapOption> only, HeapPlaces places, HugeUse huge)
      : budget_(budget), asked_(std::move(only)), places_(std::move(places)), huge_(huge) {
    for (const HeapOption& option : asked_) only_.insert(option.name);
  }

  std::vector<std::shared_ptr<Heap>> scan() override {
    const std::lock_guard lock(mutex_);
    look();
    std::vector<std::shared_ptr<Heap>> found;
    found.reserve(heaps_.size());
    for (const auto& [name, heap] : heaps_) found.push_back(heap);
    return found;
  }

  std::shared_ptr<Heap> find(const std::string& name) override {
    const std::lock_guard lock(mutex_);
    look();
    const auto at = heaps_.find(name);
    return at == heaps_.end() ? nullptr : at->second;
  }

  std::string cma() override {
    const std::lock_guard lock(mutex_);
    look();
    return default_cma(heaps_);
  }

  std::vector<std::string> missing() override {
    const std::lock_guard lock(mutex_);
    look();
    std::vector<std::string> names;
    for (const HeapOption& option : asked_) {
      const bool there =
          heaps_.contains(option.name) || (option.name == kCma && !default_cma(heaps_).empty());
      if (!option.if_present && !there) names.push_back(option.name);
    }
    return names;
  }

 private:
  /// Brings heaps_ in line with the device nodes.
  void look() {
    cards_ = nodes_.look([this](const std::string& name) { return only_.empty() || only_.contains(name); });
    std::set<std::string> present = node_names();
    for (auto it = heaps_.begin(); it != heaps_.end();)
      it = present.count(it->first) == 0 || is_replaced(*it->second) ? heaps_.erase(it) : std::next(it);
    for (const std::string& name : present)
      if (heaps_.count(name) == 0) heaps_[name] = make_heap(name);
  }

  /// Its node is another display's now.
  [[nodiscard]] bool is_replaced(const Heap& heap) const {
    if (heap.kind() != HeapKind::Drm) return false;
    const auto card = cards_.find(heap.name());
    return card == cards_.end() || !static_cast<const DrmHeap&>(heap).is_of(card->second);
  }

  [[nodiscard]] bool has_module() const {
    std::error_code ignored;
    return std::filesystem::exists(places_.dev + kModuleNode, ignored) && !module_.is_unfit();
  }

  [[nodiscard]] std::set<std::string> node_names() const {
    std::error_code ignored;
    std::set<std::string> names{kMemfd};
    if (std::filesystem::exists(places_.dev + "/udmabuf", ignored)) names.insert(kUdmabuf);
    if (has_module()) names.insert(ModuleHeap::kName);
    std::filesystem::directory_iterator entry(places_.dev + "/dma_heap", ignored);
    while (!ignored && entry != std::filesystem::directory_iterator()) {
      names.insert(entry->path().filename().string());
      entry.increment(ignored);
    }
    for (const auto& [name, card] : cards_) names.insert(name);
    if (only_.empty()) return names;
    std::set<std::string> wanted;
    std::set_intersection(names.begin(), names.end(), only_.begin(), only_.end(),
                          std::inserter(wanted, wanted.end()));
    if (const std::string cma = default_cma(names); only_.contains(kCma) && !cma.empty()) wanted.insert(cma);
    return wanted;
  }

  /// A dma-heap of the name "memfd", "udmabuf", "direct" or of a display's heap is hidden by the heap that
  /// always has that name.
  [[nodiscard]] std::shared_ptr<Heap> make_heap(const std::string& name) const {
    if (name == kMemfd) return std::make_shared<MemfdHeap>(budget_);
    if (name == ModuleHeap::kName && has_module())
      return std::make_shared<ModuleHeap>(budget_, places_.dev + kModuleNode);
    if (const auto card = cards_.find(name); card != cards_.end())
      return std::make_shared<DrmHeap>(budget_, places_.dev + kCards + name.substr(name.find('-') + 1),
                                       card->second);
    if (name != kUdmabuf) return std::make_shared<DmaHeap>(budget_, places_.dev + "/dma_heap/" + name);
    UdmabufSource source;
    source.node = places_.dev + "/udmabuf";
    source.size_limit_file = KernelNumber(places_.sys + "/module/udmabuf/parameters/size_limit_mb");
    source.huge_pages = HugePages(places_.sys);
    source.huge = huge_;
    return std::make_shared<UdmabufHeap>(budget_, std::move(source));
  }

  Budget& budget_;
  const std::vector<HeapOption> asked_;
  std::set<std::string> only_;  ///< their names; empty: all
  const HeapPlaces places_;
  const HugeUse huge_;
  const KernelModule module_{places_.dev + kModuleNode};
  std::mutex mutex_;
  DrmNodes nodes_{places_.dev + kCards};
  DrmNodes::Found cards_;  // as of the last look
  std::map<std::string, std::shared_ptr<Heap>> heaps_;
};

}  // namespace

Result<std::unique_ptr<HeapRegistry>> HeapRegistry::make(Budget& budget, std::vector<HeapOption> only,
                                                         HeapPlaces places) {
  HugeUse huge = HugeUse::Auto;
  std::set<std::string> names;
  for (const HeapOption& option : only) {
    TRY(check_option(option, huge));
    if (!names.insert(option.name).second) return fail(EINVAL, "--heap " + option.name + " is given twice");
  }
  return std::make_unique<MachineHeaps>(budget, std::move(only), std::move(places), huge);
}

}  // namespace dmabuffs
