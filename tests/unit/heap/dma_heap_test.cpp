// SPDX-License-Identifier: MIT
// Real dma-heap buffers where there is /dev/dma_heap/system.
#include <fcntl.h>
#include <sys/mman.h>

#include "catch.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/heap/dma_heap.h"
#include "heap_support.h"

using namespace dmabuffs;
using namespace heap_test;

namespace {

const char* const kSystem = "/dev/dma_heap/system";

}  // namespace

TEST_CASE("a dma-heap's buffer is a dma-buf from birth, zeroed, and its mapping is the client's memory") {
  if (!have_device(kSystem)) return;
  Budget budget(generous());
  DmaHeap heap(budget, kSystem);
  CHECK(heap.name() == "system");
  CHECK(heap.is_dmabuf());
  CHECK(!heap.growable());
  CHECK(!heap.not_pinnable_reason().empty());
  auto made = heap.create(3 * kMiB + 1, ::getuid());
  REQUIRE(made);
  Storage& storage = **made;
  CHECK(storage.capacity() == 3 * kMiB + 4096);
  CHECK(budget.used() == storage.capacity());
  REQUIRE(storage.dmabuf_fd() >= 0);
  CHECK((::fcntl(storage.dmabuf_fd(), F_GETFD) & FD_CLOEXEC) != 0);
  const auto bytes = storage.map().value();
  REQUIRE(populate(bytes));
  CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0}) == static_cast<std::ptrdiff_t>(bytes.size()));
  for (size_t at = 0; at < bytes.size(); at += 4096) bytes[at] = static_cast<std::byte>(at / 4096 + 1);
  storage.unmap();
  const auto view = Mapping::of_file(storage.dmabuf_fd(), 0, storage.capacity(), PROT_READ);
  REQUIRE(view);
  size_t wrong = 0;
  for (size_t at = 0; at < view->size(); at += 4096)
    wrong += view->data()[at] == static_cast<std::byte>(at / 4096 + 1) ? 0 : 1;
  CHECK(wrong == 0);
  made->reset();
  CHECK(budget.used() == 0);
}

TEST_CASE("a dma-heap's buffer has one size, and a name when published") {
  if (!have_device(kSystem)) return;
  Budget budget(generous());
  DmaHeap heap(budget, kSystem);
  auto storage = heap.create(kMiB, ::getuid());
  REQUIRE(storage);
  CHECK(!(*storage)->growable());
  CHECK(!(*storage)->pinnable());
  CHECK((*storage)->resize(kMiB));
  auto refused = (*storage)->resize(2 * kMiB);
  REQUIRE(!refused);
  CHECK(refused.error().code == EBUSY);
  REQUIRE((*storage)->publish("model"));
  std::ifstream facts("/proc/self/fdinfo/" + std::to_string((*storage)->dmabuf_fd()));
  const std::string text{std::istreambuf_iterator<char>(facts), {}};
  CHECK(text.find("exp_name:\tsystem") != std::string::npos);
  CHECK(text.find("name:\tmodel\n") != std::string::npos);
  CHECK(heap.create(0, ::getuid()).error().code == EINVAL);
}

TEST_CASE("a dma-heap's buffer that the budget refuses is not allocated") {
  if (!have_device(kSystem)) return;
  Budget budget({kMiB, 0, ::getuid()});
  DmaHeap heap(budget, kSystem);
  auto refused = heap.create(2 * kMiB, ::getuid());
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOSPC);
  CHECK(refused.error().message.find("system: ") == 0);
  CHECK(refused.error().message.find("-o size=") != std::string::npos);
}

TEST_CASE("a dma-heap that refuses an allocation gives its bytes back to the budget") {
  if (!have_device(kSystem)) return;
  Budget budget(generous());
  DmaHeap heap(budget, kSystem);
  auto refused = heap.create(uint64_t{1} << 40, ::getuid());
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOMEM);
  CHECK(budget.used() == 0);
}
