// SPDX-License-Identifier: MIT
#include <sys/stat.h>

#include "catch.h"
#include "dmabuffs/heap/heap.h"
#include "heap_support.h"

using namespace dmabuffs;
using namespace heap_test;

namespace {

std::vector<std::string> names(HeapRegistry& registry) {
  std::vector<std::string> found;
  for (const auto& heap : registry.scan()) found.push_back(heap->name());
  return found;
}

/// Directories that stand in for /dev and /sys: a registry looks at names, owners and modes only.
struct FakePlaces {
  TemporaryDirectory root;
  HeapPlaces places{root.path() + "/dev", root.path() + "/sys"};
  void add(const std::string& node, mode_t mode = 0600) const {
    root.write("dev/" + node, "");
    REQUIRE(::chmod((root.path() + "/dev/" + node).c_str(), mode) == 0);
  }
  void remove(const std::string& node) const { std::filesystem::remove(root.path() + "/dev/" + node); }
  [[nodiscard]] std::unique_ptr<HeapRegistry> registry(Budget& budget,
                                                       std::vector<HeapOption> only = {}) const {
    auto made = HeapRegistry::make(budget, std::move(only), places);
    REQUIRE(made);
    return std::move(*made);
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a machine without devices has the memfd heap") {
  Budget budget(generous());
  const FakePlaces machine;
  CHECK(names(*machine.registry(budget)) == Names{"memfd"});
}

TEST_CASE("heaps are found anew at each scan, and keep their identity while their node is there") {
  Budget budget(generous());
  const FakePlaces machine;
  const auto registry = machine.registry(budget);
  machine.add("udmabuf");
  machine.add("dma_heap/system");
  machine.add("dma_heap/linux,cma");
  CHECK(names(*registry) == Names{"linux,cma", "memfd", "system", "udmabuf"});
  const auto system = registry->find("system");
  REQUIRE(system);
  CHECK(system->kind() == HeapKind::DmaHeap);
  CHECK(registry->find("system") == system);
  machine.remove("dma_heap/system");
  CHECK(names(*registry) == Names{"linux,cma", "memfd", "udmabuf"});
  CHECK(registry->find("system") == nullptr);
  CHECK(system->access().error().code == ENODEV);
  CHECK(system->create(4096, ::getuid()).error().code == ENODEV);
  machine.add("dma_heap/system");
  CHECK(registry->find("system") != nullptr);
  CHECK(registry->find("system") != system);
}

TEST_CASE("cma is the heap of the default area, whatever that is called") {
  Budget budget(generous());
  const FakePlaces machine;
  machine.add("dma_heap/system");
  const auto registry = machine.registry(budget), only = machine.registry(budget, {{"cma", {}}});
  CHECK(registry->cma().empty());
  CHECK(only->missing() == Names{"cma"});
  machine.add("dma_heap/reserved");
  CHECK(registry->cma() == "reserved");
  machine.add("dma_heap/default_cma_region");  // as where the kernel keeps the old name, too
  CHECK(registry->cma() == "default_cma_region");
  CHECK(names(*only) == Names{"default_cma_region"});
  CHECK(only->cma() == "default_cma_region");
  CHECK(only->missing().empty());
  machine.add("dma_heap/cma");
  CHECK(registry->cma().empty());
  CHECK(names(*only) == Names{"cma"});
}

TEST_CASE("a dma-heap called like a heap of our own is hidden by it") {
  Budget budget(generous());
  const FakePlaces machine;
  machine.add("dma_heap/memfd");
  machine.add("dma_heap/udmabuf");
  machine.add("udmabuf");
  const auto registry = machine.registry(budget);
  CHECK(names(*registry) == Names{"memfd", "udmabuf"});
  CHECK(registry->find("memfd")->kind() == HeapKind::Memfd);
  CHECK(registry->find("udmabuf")->kind() == HeapKind::Udmabuf);
}

TEST_CASE("a heap whose name has commas is named, found and told missing like any other") {
  Budget budget(generous());
  const FakePlaces machine;
  machine.add("dma_heap/protected,secure-video");
  machine.add("dma_heap/system");
  const auto registry = machine.registry(budget, {{"protected,secure-video", {}}, {"qcom,none", {}}});
  CHECK(names(*registry) == Names{"protected,secure-video"});
  REQUIRE(registry->find("protected,secure-video"));
  CHECK(registry->find("protected,secure-video")->name() == "protected,secure-video");
  CHECK(registry->missing() == Names{"qcom,none"});
}

TEST_CASE("--heap shows only the heaps it names, and says which are missing") {
  Budget budget(generous());
  const FakePlaces machine;
  machine.add("dma_heap/system");
  const auto registry = machine.registry(budget, {{"system", {}}, {"udmabuf", {{"huge", "never"}}}});
  CHECK(names(*registry) == Names{"system"});
  CHECK(registry->find("memfd") == nullptr);
  CHECK(registry->missing() == Names{"udmabuf"});
  CHECK(machine.registry(budget, {{"udmabuf", {}, /*if_present=*/true}})->missing().empty());
  machine.add("udmabuf");
  CHECK(registry->missing().empty());
}

TEST_CASE("a setting that a heap doesn't have is refused with those it has") {
  Budget budget(generous());
  const auto refusal = [&](const HeapOption& option) {
    auto made = HeapRegistry::make(budget, {option});
    REQUIRE(!made);
    CHECK(made.error().code == EINVAL);
    return made.error().message;
  };
  CHECK(refusal({"udmabuf", {{"huge", "maybe"}}}).find("huge=always") != std::string::npos);
  CHECK(refusal({"udmabuf", {{"size", "1"}}}).find("huge=auto|never|always") != std::string::npos);
  CHECK(refusal({"system", {{"huge", "auto"}}}).find("unknown setting huge") != std::string::npos);
  refusal({"", {}});
  refusal({"../x", {}});
  auto twice = HeapRegistry::make(budget, {{"memfd", {}}, {"memfd", {}}});
  REQUIRE(!twice);
  CHECK(twice.error().code == EINVAL);
}

TEST_CASE("a heap's directory has the owner, group and rights of its node, and is sticky") {
  Budget budget(generous());
  const FakePlaces machine;
  machine.add("dma_heap/system", 0640);
  machine.add("udmabuf", 0606);
  const auto registry = machine.registry(budget);
  const auto access = registry->find("system")->access();
  REQUIRE(access);
  CHECK(access->mode == 01750);
  CHECK(access->uid == ::geteuid());
  CHECK(access->gid == ::getegid());
  CHECK(registry->find("udmabuf")->access()->mode == 01707);
  machine.add("udmabuf", 0660);
  CHECK(registry->find("udmabuf")->access()->mode == 01770);
}

// The kernel takes no writes below a directory whose owner or group it can't name in the mount's user
// namespace.
TEST_CASE("where the node's owner and group are not mapped, the daemon's own have what everybody has") {
  if (::geteuid() != 0) return;  // only root gives files away
  constexpr id_t kUnmapped = 65534;
  Budget budget(generous());
  const FakePlaces machine;
  machine.add("udmabuf", 0664);
  REQUIRE(::chown((machine.places.dev + "/udmabuf").c_str(), kUnmapped, kUnmapped) == 0);
  const auto access = machine.registry(budget)->find("udmabuf")->access();
  REQUIRE(access);
  CHECK(access->uid == ::geteuid());
  CHECK(access->gid == ::getegid());
  CHECK(access->mode == 01555);
}

TEST_CASE("a node that denies the daemon is EACCES, and the message says who may and how") {
  if (::geteuid() == 0) return;  // root is denied nothing
  Budget budget(generous());
  const FakePlaces machine;
  machine.add("dma_heap/system", 0000);
  auto refused = machine.registry(budget)->find("system")->create(4096, ::getuid());
  REQUIRE(!refused);
  CHECK(refused.error().code == EACCES);
  CHECK(refused.error().message.find("udev rule") != std::string::npos);
  CHECK(budget.used() == 0);
}
