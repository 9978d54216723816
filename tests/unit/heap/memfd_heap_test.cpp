// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <vector>

#include "catch.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/heap/memfd_heap.h"
#include "heap_support.h"

using namespace dmabuffs;
using namespace heap_test;

namespace {

std::unique_ptr<MemfdStorage> empty_memory(Budget& budget) {
  auto storage = MemfdStorage::make(budget, ::getuid(), "memfd-test");
  REQUIRE(storage);
  return std::move(*storage);
}

off_t file_size(int fd) {
  struct stat info {};
  REQUIRE(::fstat(fd, &info) == 0);
  return info.st_size;
}

}  // namespace

TEST_CASE("a memfd's file size is the length, its capacity and its charge whole pages") {
  Budget budget(generous());
  const auto storage = empty_memory(budget);
  CHECK(storage->capacity() == 0);
  CHECK(storage->map()->empty());
  REQUIRE(storage->set_length(10000));
  CHECK(storage->length() == 10000);
  CHECK(file_size(storage->memfd()) == 10000);
  CHECK(storage->capacity() == 12288);
  CHECK(budget.used() == 12288);
  CHECK(storage->map()->size() == 12288);
  REQUIRE(storage->set_length(1));
  CHECK(budget.used() == 4096);
}

TEST_CASE("a memfd keeps its bytes when it grows, and reads zero where it was cut off") {
  Budget budget(generous());
  const auto storage = empty_memory(budget);
  REQUIRE(storage->resize(2 * kMiB));
  auto bytes = storage->map().value();
  REQUIRE(populate(bytes));
  std::fill(bytes.begin(), bytes.end(), std::byte{0x5a});
  REQUIRE(storage->set_length(kMiB + 100));
  REQUIRE(storage->resize(4 * kMiB));
  bytes = storage->map().value();
  CHECK(bytes.size() == 4 * kMiB);
  CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0x5a}) == static_cast<std::ptrdiff_t>(kMiB + 100));
  CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0}) == static_cast<std::ptrdiff_t>(3 * kMiB - 100));
  storage->unmap();
  CHECK(storage->map().value()[kMiB + 99] == std::byte{0x5a});
}

TEST_CASE("memory that can't have huge pages says so") {
  auto nothing = Mapping::reserve(3 * kHugePage, kHugePage);
  REQUIRE(nothing);
  CHECK_FALSE(make_huge(nothing->bytes()));
  CHECK(make_huge(nothing->bytes().subspan(kPage, kHugePage)));  // none that is whole: nothing to do
}

TEST_CASE("a memfd that the budget refuses to grow stays as it was") {
  Budget budget({kMiB, 0, ::getuid()});
  const auto storage = empty_memory(budget);
  REQUIRE(storage->set_length(5000));
  auto refused = storage->resize(2 * kMiB);
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOSPC);
  CHECK(storage->length() == 5000);
  CHECK(file_size(storage->memfd()) == 5000);
  CHECK(budget.used() == 8192);
  refused = storage->set_length(UINT64_MAX - 5);
  REQUIRE(!refused);
  CHECK(refused.error().code == EFBIG);
}

TEST_CASE("a memfd is close-on-exec and may be sealed") {
  Budget budget(generous());
  const auto storage = empty_memory(budget);
  REQUIRE(storage->set_length(4096));
  CHECK((::fcntl(storage->memfd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(::fcntl(storage->memfd(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  auto refused = storage->set_length(0);
  REQUIRE(!refused);
  CHECK(refused.error().code == EPERM);
  CHECK(storage->capacity() == 4096);
  CHECK(budget.used() == 4096);
}

TEST_CASE("running out of descriptors names the limit and the remedy") {
  Budget budget(generous());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{0, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  auto refused = MemfdStorage::make(budget, ::getuid(), "memfd-test");
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(!refused);
  CHECK(refused.error().code == EMFILE);
  CHECK(refused.error().message.find("LimitNOFILE") != std::string::npos);
}

TEST_CASE("the memfd heap needs no device, is no dma-buf, and makes growable memory of whole pages") {
  Budget budget(generous());
  MemfdHeap heap(budget);
  CHECK(!heap.is_dmabuf());
  CHECK(heap.access()->mode == 01777);
  CHECK(heap.access()->uid == ::geteuid());
  CHECK(heap.capacity_for(0) == 0);
  CHECK(heap.capacity_for(4097) == 8192);
  auto storage = heap.create(4097, ::getuid());
  REQUIRE(storage);
  CHECK((*storage)->capacity() == 8192);
  CHECK((*storage)->growable());
  CHECK((*storage)->pinnable());
  REQUIRE((*storage)->publish("name"));
  CHECK((*storage)->dmabuf_fd() == -1);
}
