// SPDX-License-Identifier: MIT
// Real udmabufs where there is /dev/udmabuf; huge pages are configured by the tests themselves, as root.
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <set>
#include <thread>

#include "catch.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/heap/udmabuf_heap.h"
#include "heap_support.h"
#include "smaps.h"

using namespace dmabuffs;
using namespace heap_test;

namespace {

/// A number in /proc or /sys, put back as it was at the end.
class Setting {
 public:
  Setting(std::string file, uint64_t value) : file_(std::move(file)), before_(read()) { write(value); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
  ~Setting() { std::ofstream(file_) << before_; }
  void write(uint64_t value) const {
    std::ofstream(file_) << value << std::flush;
    REQUIRE(read() == value);
  }
  [[nodiscard]] uint64_t read() const {
    uint64_t value = 0;
    std::ifstream(file_) >> value;
    return value;
  }

 private:
  std::string file_;
  uint64_t before_;
};

Setting pool(uint64_t pages) {
  return Setting("/proc/sys/vm/nr_hugepages", pages);
}
Setting overcommit(uint64_t pages) {
  return Setting("/proc/sys/vm/nr_overcommit_hugepages", pages);
}

bool root_with_udmabuf() {
  return ::geteuid() == 0 && have_device("/dev/udmabuf");
}

UdmabufSource with(HugeUse huge) {
  UdmabufSource source;
  source.huge = huge;
  return source;
}

std::unique_ptr<Storage> make(Budget& budget, uint64_t size, HugeUse huge = HugeUse::Auto) {
  UdmabufHeap heap(budget, with(huge));
  auto storage = heap.create(size, ::getuid());
  if (!storage) INFO(storage.error().message);
  REQUIRE(storage);
  return std::move(*storage);
}

/// A value for each page that no other page near it has, and none is zero.
uint64_t stamp(uint64_t page) {
  return (page + 1) * 0x9e3779b97f4a7c15U;
}

/// Marks the first and the last eight bytes of every page from `begin`.
void mark(std::span<std::byte> bytes, uint64_t begin = 0) {
  for (uint64_t at = begin; at < bytes.size(); at += kPage) {
    const uint64_t value = stamp(at / kPage);
    std::memcpy(&bytes[at], &value, sizeof value);
    std::memcpy(&bytes[at + kPage - sizeof value], &value, sizeof value);
  }
}

/// How many of the pages below `end` don't have their mark.
uint64_t wrong_pages(std::span<const std::byte> bytes, uint64_t end) {
  uint64_t wrong = 0;
  for (uint64_t at = 0; at < end; at += kPage) {
    uint64_t first = 0;
    uint64_t last = 0;
    std::memcpy(&first, &bytes[at], sizeof first);
    std::memcpy(&last, &bytes[at + kPage - sizeof last], sizeof last);
    wrong += first == stamp(at / kPage) && last == first ? 0 : 1;
  }
  return wrong;
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

/// The dma-buf as a client maps it.
Mapping client_view(const Storage& storage) {
  auto view = Mapping::of_file(storage.dmabuf_fd(), 0, storage.capacity(), PROT_READ | PROT_WRITE);
  REQUIRE(view);
  return std::move(*view);
}

/// Fills every page through map(), publishes, and checks every page through the dma-buf's own mapping, both
/// ways.
void check_pages_reach_the_dmabuf(Storage& storage) {
  REQUIRE(populate(storage.map().value()));
  mark(storage.map().value());
  REQUIRE(storage.publish("every-page"));
  CHECK(::lseek(storage.dmabuf_fd(), 0, SEEK_END) == static_cast<off_t>(storage.capacity()));
  const Mapping view = client_view(storage);
  CHECK(wrong_pages(view.bytes(), storage.capacity()) == 0);
  for (uint64_t at = 0; at < storage.capacity(); at += kPage) view.data()[at + 100] = std::byte{0xc3};
  const auto ours = storage.map().value();
  uint64_t missed = 0;
  for (uint64_t at = 0; at < storage.capacity(); at += kPage)
    missed += ours[at + 100] == std::byte{0xc3} ? 0 : 1;
  CHECK(missed == 0);
}

}  // namespace

TEST_CASE("every page of a udmabuf of 4 KiB pages is the memory that was filled") {
  if (!have_device("/dev/udmabuf")) return;
  Budget budget(generous());
  auto storage = make(budget, 5 * kMiB + 1, HugeUse::Never);
  CHECK(storage->capacity() == 5 * kMiB + kPage);
  CHECK(storage->huge_bytes() == 0);
  check_pages_reach_the_dmabuf(*storage);
}

TEST_CASE("every page of a udmabuf of huge pages is the memory that was filled") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(64);
  Budget budget(generous());
  auto storage = make(budget, 15 * kMiB);
  CHECK(storage->capacity() == 16 * kMiB);
  CHECK(storage->huge_bytes() == 16 * kMiB);
  check_pages_reach_the_dmabuf(*storage);
}

TEST_CASE("every page of a udmabuf of huge and 4 KiB pages is the memory that was filled") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(64);
  Budget budget(generous());
  auto storage = make(budget, 6 * kMiB + 300 * 1024 + 1);
  CHECK(storage->capacity() == 6 * kMiB + 304 * 1024);
  CHECK(storage->huge_bytes() == 6 * kMiB);
  check_pages_reach_the_dmabuf(*storage);
}

TEST_CASE("a udmabuf gets huge pages that nobody set aside where its importers understand them") {
  if (!have_device("/dev/udmabuf")) return;
  Budget budget(generous());
  const uint64_t capacity = 5 * kMiB + kPage;
  for (const bool misread : {false, true}) {
    UdmabufSource source;
    source.misleads_importers = misread;
    source.huge_pages = HugePages("/none");
    auto storage = UdmabufStorage::make(source, budget, ::getuid(), capacity).value();
    const auto memory = storage->map().value();
    REQUIRE(storage->populate(memory));
    const uint64_t expected = !misread && memory_files_collapse() ? 4 * kMiB : 0;
    if (!misread) CHECK(huge_bytes_at(memory.data()) == expected);  // the machine's settings may give some
    CHECK(storage->huge_bytes() == expected);
    check_pages_reach_the_dmabuf(*storage);
  }
}

TEST_CASE("where some huge pages are free, a udmabuf takes those and 4 KiB pages for the rest") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(3);
  Budget budget(generous());
  auto storage = make(budget, 16 * kMiB);
  CHECK(storage->capacity() == 16 * kMiB);
  CHECK(storage->huge_bytes() == 6 * kMiB);
  check_pages_reach_the_dmabuf(*storage);
}

TEST_CASE("huge pages from the reserved pool go back to it") {
  if (!root_with_udmabuf()) return;
  const Setting pages = pool(8);
  const HugePages machine;
  Budget budget(generous());
  const uint64_t free_before = machine.pool_free();
  REQUIRE(free_before >= 8 * kHugePage);
  auto storage = make(budget, 10 * kMiB);
  CHECK(storage->huge_bytes() == 10 * kMiB);
  CHECK(machine.pool_free() == free_before - 10 * kMiB);
  check_pages_reach_the_dmabuf(*storage);
  CHECK(budget.used() == 10 * kMiB);
  storage.reset();
  CHECK(machine.pool_free() == free_before);
  CHECK(budget.used() == 0);
}

TEST_CASE("a udmabuf that nobody populated is complete when it is published") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(64);
  const HugePages machine;
  Budget budget(generous());
  {
    auto storage = make(budget, 5 * kMiB);
    REQUIRE(storage->publish("not-populated"));
    CHECK(all_zero(client_view(*storage).bytes()));
    mark(storage->map().value());
    CHECK(wrong_pages(client_view(*storage).bytes(), storage->capacity()) == 0);
  }
  CHECK(machine.available() == 64 * kHugePage);
}

TEST_CASE("huge pages are promised when the memory is made: no touch can fail afterwards") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(4);
  Budget budget(generous());
  auto storage = make(budget, 8 * kMiB);
  REQUIRE(storage->huge_bytes() == 8 * kMiB);
  CHECK(HugePages().available() == 0);
  auto rival = make(budget, 4 * kMiB);
  CHECK(rival->huge_bytes() == 0);
  mark(storage->map().value());  // SIGBUS, were they not promised
  storage->unmap();
  CHECK(wrong_pages(storage->map().value(), storage->capacity()) == 0);
}

TEST_CASE("a udmabuf that grows keeps its bytes, whatever pages it grows into") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(16);
  Budget budget(generous());
  auto storage = make(budget, kMiB);
  CHECK(storage->huge_bytes() == 0);
  uint64_t filled = 0;
  for (const uint64_t capacity :
       {kMiB, kMiB + kPage, 3 * kMiB, 3 * kMiB + kPage, 8 * kMiB, 20 * kMiB, 33 * kMiB, 40 * kMiB}) {
    REQUIRE(storage->resize(capacity));
    const auto bytes = storage->map().value();
    REQUIRE(bytes.size() == capacity);
    CHECK(wrong_pages(bytes, filled) == 0);
    CHECK(all_zero(bytes.subspan(filled)));
    mark(bytes, filled);
    filled = capacity;
    CHECK(budget.used() == capacity);
  }
  CHECK(storage->huge_bytes() == 32 * kMiB);  // then the machine had no more
  REQUIRE(storage->publish("grown"));
  CHECK(wrong_pages(client_view(*storage).bytes(), filled) == 0);
}

TEST_CASE("a udmabuf that is trimmed keeps its bytes, and what it grows by later reads zero") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(16);
  Budget budget(generous());
  auto storage = make(budget, 17 * kMiB);
  REQUIRE(storage->capacity() == 18 * kMiB);
  mark(storage->map().value());
  for (const uint64_t capacity :
       {17 * kMiB, 16 * kMiB + kPage, 8 * kMiB, 5 * kMiB + kPage, 3 * kMiB, 100 * kPage}) {
    REQUIRE(storage->resize(capacity));
    CHECK(storage->capacity() == capacity);
    CHECK(storage->huge_bytes() == round_down(capacity, kHugePage));
    CHECK(wrong_pages(storage->map().value(), capacity) == 0);
    CHECK(budget.used() == capacity);
  }
  REQUIRE(storage->resize(6 * kMiB));
  const auto bytes = storage->map().value();
  CHECK(wrong_pages(bytes, 100 * kPage) == 0);
  CHECK(all_zero(bytes.subspan(100 * kPage)));
}

TEST_CASE("a udmabuf that can't grow stays as it was") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(16);
  const Setting limit("/sys/module/udmabuf/parameters/size_limit_mb", 64);
  Budget budget({20 * kMiB, 0, ::getuid()});
  auto storage = make(budget, 3 * kMiB);
  mark(storage->map().value());
  auto refused = storage->resize(21 * kMiB);
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOSPC);
  refused = storage->resize(65 * kMiB);
  REQUIRE(!refused);
  CHECK(refused.error().code == EFBIG);
  CHECK(storage->capacity() == 3 * kMiB);
  CHECK(storage->huge_bytes() == 2 * kMiB);
  CHECK(budget.used() == 3 * kMiB);
  CHECK(wrong_pages(storage->map().value(), 3 * kMiB) == 0);
  REQUIRE(storage->publish("small"));
  CHECK(wrong_pages(client_view(*storage).bytes(), 3 * kMiB) == 0);
}

TEST_CASE("a udmabuf whose huge pages fit the budget but not its last piece gives the huge pages back") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(16);
  Budget budget({5 * kMiB, 0, ::getuid()});
  auto storage = make(budget, 2 * kMiB);
  mark(storage->map().value());
  auto refused = storage->resize(5 * kMiB + 512 * 1024);
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOSPC);
  CHECK(storage->capacity() == 2 * kMiB);
  CHECK(budget.used() == 2 * kMiB);
  CHECK(HugePages().available() == 15 * kHugePage);
  CHECK(wrong_pages(storage->map().value(), 2 * kMiB) == 0);
}

TEST_CASE("a published udmabuf is sealed, named, close-on-exec and of one size") {
  if (!have_device("/dev/udmabuf")) return;
  Budget budget(generous());
  auto storage = make(budget, kMiB, HugeUse::Never);
  CHECK(storage->growable());
  CHECK(storage->dmabuf_fd() == -1);
  REQUIRE(storage->publish("a-name-of-more-than-31-bytes-\xc3\xa4\xc3\xa4\xc3\xa4"));
  CHECK(!storage->growable());
  CHECK(storage->pinnable());
  CHECK((::fcntl(storage->dmabuf_fd(), F_GETFD) & FD_CLOEXEC) != 0);
  auto refused = storage->resize(2 * kMiB);
  REQUIRE(!refused);
  CHECK(refused.error().code == EBUSY);
  CHECK(storage->resize(kMiB));
  const int before = storage->dmabuf_fd();
  CHECK(storage->publish("again"));
  CHECK(storage->dmabuf_fd() == before);
  std::ifstream facts("/proc/self/fdinfo/" + std::to_string(before));
  const std::string text{std::istreambuf_iterator<char>(facts), {}};
  CHECK(text.find("exp_name:\tudmabuf") != std::string::npos);
  CHECK(text.find("name:\ta-name-of-more-than-31-bytes-\xc3\xa4\n") != std::string::npos);
}

TEST_CASE("huge=always without huge pages is ENOMEM with the sysctl that helps, and with it all is huge") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(1);
  Budget budget(generous());
  UdmabufHeap heap(budget, with(HugeUse::Always));
  auto refused = heap.create(7 * kMiB, ::getuid());
  REQUIRE(!refused);
  CHECK(refused.error().code == ENOMEM);
  CHECK(refused.error().message.find("sysctl vm.nr_overcommit_hugepages=4 ") != std::string::npos);
  CHECK(budget.used() == 0);
  CHECK(HugePages().available() == kHugePage);
  pages.write(4);
  auto storage = heap.create(7 * kMiB, ::getuid());
  REQUIRE(storage);
  CHECK((*storage)->huge_bytes() == 8 * kMiB);
  CHECK((*storage)->capacity() == 8 * kMiB);
}

TEST_CASE("huge pages kept for recycling are given back for a new buffer") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(4);
  Budget budget(generous());
  auto spare = make(budget, 8 * kMiB);
  REQUIRE(spare->huge_bytes() == 8 * kMiB);
  budget.set_relief([&] {
    const bool something = spare != nullptr;
    spare.reset();
    return something;
  });
  CHECK(make(budget, 6 * kMiB)->huge_bytes() == 6 * kMiB);
}

TEST_CASE("several threads can populate one udmabuf's memory at once") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(24);
  Budget budget(generous());
  auto storage = make(budget, 49 * kMiB, HugeUse::Auto);
  const auto bytes = storage->map().value();
  CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % kHugePage == 0);
  {
    std::vector<std::jthread> threads;
    for (uint64_t at = 0; at < bytes.size(); at += 7 * kMiB)
      threads.emplace_back(
          [=] { CHECK(populate(bytes.subspan(at, std::min(7 * kMiB, bytes.size() - at)))); });
  }
  check_pages_reach_the_dmabuf(*storage);
}

TEST_CASE("a publish that the kernel's limit stops can be done again once the limit is raised") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(16);
  const Setting limit("/sys/module/udmabuf/parameters/size_limit_mb", 64);
  Budget budget(generous());
  auto storage = make(budget, 5 * kMiB);
  mark(storage->map().value());
  limit.write(4);
  auto refused = storage->publish("too-large-now");
  REQUIRE(!refused);
  CHECK(refused.error().code == EFBIG);
  CHECK(storage->dmabuf_fd() == -1);
  CHECK(!storage->growable());
  CHECK(wrong_pages(storage->map().value(), storage->capacity()) == 0);
  limit.write(5);
  REQUIRE(storage->publish("fits-now"));
  CHECK(wrong_pages(client_view(*storage).bytes(), storage->capacity()) == 0);
}

TEST_CASE("the memory behind a published udmabuf can be neither cut nor grown nor unsealed") {
  if (!root_with_udmabuf()) return;
  const Setting pages = overcommit(16);
  Budget budget(generous());
  auto storage = make(budget, 3 * kMiB);
  REQUIRE(storage->publish("sealed"));
  int memfds = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.find("memfd:dmabuffs-") == std::string::npos) continue;
    ++memfds;
    const int fd = std::stoi(entry.path().filename().string());
    const int seals = ::fcntl(fd, F_GET_SEALS);
    CHECK((seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) ==
          (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
    CHECK((seals & F_SEAL_WRITE) == 0);
  }
  CHECK(memfds == 2);
}
