// SPDX-License-Identifier: MIT
// Files that take what is written beyond their dma-buf, until one is bound that holds it.
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <limits>
#include <thread>

#include "kernel/opened_support.h"

using namespace kernel;

namespace {

constexpr uint64_t kRoom = uint64_t{1} << 40;
constexpr uint32_t kReplace = DMABUF_FILE_BIND_REPLACE, kKeep = DMABUF_FILE_BIND_KEEP,
                   kHidden = DMABUF_FILE_BIND_HIDDEN, kFull = DMABUF_FILE_BIND_FULL;

Opened open_roomy(int dmabuf = -1, uint64_t length = 0, uint64_t room = kRoom) {
  Opened file = open_over(dmabuf, length, O_RDWR, room);
  REQUIRE(file.error == 0);
  return file;
}
/// In pieces of all sizes.
void write_in_pieces(int fd, const std::vector<char>& bytes, size_t offset = 0) {
  std::mt19937_64 random(7);
  size_t done = 0;
  while (done < bytes.size()) {
    const size_t piece = std::min(bytes.size() - done, size_t{1} << (random() % 20));
    REQUIRE(::pwrite(fd, bytes.data() + done, piece, static_cast<off_t>(offset + done)) ==
            static_cast<ssize_t>(piece));
    done += piece;
  }
}
std::vector<char> all_of(int fd) {
  std::vector<char> bytes(static_cast<size_t>(size_of(fd)) + 1);
  const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), 0);
  REQUIRE(got == size_of(fd));
  bytes.resize(static_cast<size_t>(got));
  return bytes;
}
uint64_t unused() {
  struct sysinfo info {};
  REQUIRE(::sysinfo(&info) == 0);
  return info.freeram * info.mem_unit;
}
bool mappable(int fd) {
  return Mapping::of_file(fd, 0, kPage, PROT_READ | PROT_WRITE).has_value();
}

}  // namespace

TEST_CASE("what is written before there is a dma-buf is in the one that comes") {
  for (const Exporter& exporter : exporters()) {
    INFO(exporter.name);
    const auto content = random_bytes(3 * kHuge - 1234);
    const Opened file = open_roomy();
    write_in_pieces(file.fd.get(), content);
    CHECK(same(all_of(file.fd.get()), content));
    CHECK_FALSE(mappable(file.fd.get()));
    CHECK(errno == ENODEV);
    const Buffer buffer(exporter.make(3 * kHuge));
    buffer.fill(std::vector<char>(3 * kHuge, 'x'));
    const Bound bound = bind_with(file.fd.get(), buffer.fd(), 0, kKeep);
    REQUIRE(bound.error == 0);
    CHECK(bound.length == content.size());
    const auto now = buffer.content();
    CHECK(std::equal(content.begin(), content.end(), now.begin()));
    CHECK(same(all_of(file.fd.get()), content));
    auto mapping = Mapping::of_file(file.fd.get(), 0, kHuge, PROT_READ | PROT_WRITE);
    REQUIRE(mapping);
    std::memset(mapping->data(), 'm', 10);
    CHECK(buffer.content()[9] == 'm');
    // What is mapped has to stay, so there is nowhere to go.
    CHECK(::pwrite(file.fd.get(), "y", 1, 3 * kHuge) == -1);
    CHECK(errno == EBUSY);
    CHECK(::pwrite(file.fd.get(), "yy", 2, 3 * kHuge - 1) == 1);
  }
}

TEST_CASE("writes go on over the end of a dma-buf, and a larger one takes both parts") {
  const Buffer small(heap_dmabuf(4 * kPage)), large(heap_dmabuf(2 * kHuge));
  auto expected = random_bytes(10'000);
  small.fill(expected);
  const Opened file = open_roomy(small.fd(), 10'000);
  const auto more = random_bytes(kHuge, 3);
  write_in_pieces(file.fd.get(), more, 15'000);
  expected.resize(15'000, 0);
  expected.insert(expected.end(), more.begin(), more.end());
  CHECK(same(all_of(file.fd.get()), expected));
  CHECK_FALSE(mappable(file.fd.get()));
  // In the dma-buf what belongs there, though the rest waits.
  CHECK(small.content()[15'000] == more[0]);
  CHECK(bind(file.fd.get(), small.fd(), 0, kKeep) == ENOSPC);
  const Bound bound = bind_with(file.fd.get(), large.fd(), 2 * kHuge - 7, kKeep);
  REQUIRE(bound.error == 0);
  CHECK(bound.length == 2 * kHuge - 7);
  expected.resize(2 * kHuge - 7, 0);
  CHECK(same(all_of(file.fd.get()), expected));
  CHECK(mappable(file.fd.get()));
}

TEST_CASE("a dma-buf that is too small is told how much there is") {
  const Buffer buffer(heap_dmabuf(kPage));
  const Opened file = open_roomy();
  write_in_pieces(file.fd.get(), random_bytes(kPage + 1));
  const Bound bound = bind_with(file.fd.get(), buffer.fd(), 0, kKeep);
  CHECK(bound.error == ENOSPC);
  CHECK(bound.length == kPage + 1);
  CHECK(same(all_of(file.fd.get()), random_bytes(kPage + 1)));
  // Also to who asks for more.
  const Bound longer = bind_with(file.fd.get(), buffer.fd(), 3 * kPage, kKeep);
  CHECK(longer.error == ENOSPC);
  CHECK(longer.length == kPage + 1);
  const Opened bound_to_it = open_roomy(buffer.fd(), 7);
  CHECK(bind_with(bound_to_it.fd.get(), buffer.fd(), kPage + 1, kKeep).error == ENOSPC);
  CHECK(size_of(bound_to_it.fd.get()) == 7);
}

TEST_CASE("with the dma-buf that is bound already KEEP makes the file longer, never shorter") {
  const Buffer buffer(heap_dmabuf(2 * kPage));
  buffer.fill(std::vector<char>(2 * kPage, 'o'));
  const Opened file = open_roomy(buffer.fd(), 100);
  CHECK(bind_with(file.fd.get(), buffer.fd(), 10, kKeep).length == 100);
  CHECK(bind_with(file.fd.get(), buffer.fd(), 5000, kKeep).length == 5000);
  auto expected = std::vector<char>(100, 'o');
  expected.resize(5000, 0);
  CHECK(same(all_of(file.fd.get()), expected));
  // What a device wrote there, say.
  REQUIRE(bind_with(file.fd.get(), buffer.fd(), 6000, kKeep | DMABUF_FILE_BIND_FILLED).length == 6000);
  expected.resize(6000, 'o');
  CHECK(same(all_of(file.fd.get()), expected));
}

TEST_CASE("nothing that others wrote is ever read") {
  // Memory that comes back dirty, of all sizes.
  for (const size_t size : {4 * kHuge, size_t{5000}, size_t{70'000}}) {
    const Opened file = open_roomy();
    write_in_pieces(file.fd.get(), std::vector<char>(size, 's'));
  }
  const auto clean = [](const std::vector<char>& bytes) {
    return static_cast<size_t>(std::count(bytes.begin(), bytes.end(), 0)) == bytes.size();
  };
  const Opened file = open_roomy();
  REQUIRE(::pwrite(file.fd.get(), "", 1, 3 * kHuge + 17) == 1);
  CHECK(clean(all_of(file.fd.get())));
  REQUIRE(::ftruncate(file.fd.get(), 3 * kHuge + 90'000) == 0);
  CHECK(clean(all_of(file.fd.get())));
  write_in_pieces(file.fd.get(), std::vector<char>(kHuge, 't'), kHuge);
  REQUIRE(::ftruncate(file.fd.get(), kHuge) == 0);
  REQUIRE(::ftruncate(file.fd.get(), 2 * kHuge) == 0);
  CHECK(clean(all_of(file.fd.get())));
  const Buffer buffer(own_dmabuf(4 * kHuge));
  REQUIRE(bind(file.fd.get(), buffer.fd(), 0, kKeep) == 0);
  CHECK(clean(buffer.content()));
}

TEST_CASE("a file takes no more than its room, and gives memory back that it does not need") {
  const Buffer buffer(heap_dmabuf(kPage));
  const Opened file = open_roomy(buffer.fd(), 0, 100'000);
  const std::vector<char> bytes(200'000, 'r');
  CHECK(::pwrite(file.fd.get(), bytes.data(), bytes.size(), 0) == 100'000 + 4096);
  CHECK(::pwrite(file.fd.get(), "r", 1, 100'000 + 4096) == -1);
  CHECK(errno == ENOSPC);
  CHECK(::ftruncate(file.fd.get(), 100'000 + 4097) == -1);
  CHECK(errno == ENOSPC);
  CHECK(size_of(file.fd.get()) == 100'000 + 4096);
  REQUIRE(::ftruncate(file.fd.get(), 4096) == 0);
  CHECK(mappable(file.fd.get()));
  CHECK(open_over(-1, 0, O_RDONLY, 1).error == EINVAL);
}

TEST_CASE("more than the memory is refused at once, and nothing is kept") {
  const Buffer buffer(heap_dmabuf(kPage));
  const Opened file = open_roomy(buffer.fd(), 7);
  CHECK(::ftruncate(file.fd.get(), off_t{1} << 39) == -1);
  CHECK(errno == ENOMEM);
  CHECK(::pwrite(file.fd.get(), "x", 1, off_t{1} << 39) == -1);
  CHECK(errno == ENOMEM);
  CHECK(::ftruncate(file.fd.get(), off_t{1} << 41) == -1);
  CHECK(size_of(file.fd.get()) == 7);
  CHECK(mappable(file.fd.get()));
}

TEST_CASE("memory that is not needed goes back before the file does") {
  constexpr uint64_t kMuch = 50 * kHuge;
  const Opened file = open_roomy();
  write_in_pieces(file.fd.get(), std::vector<char>(kMuch, 'm'));
  const uint64_t before = unused();
  REQUIRE(::ftruncate(file.fd.get(), 1) == 0);
  CHECK(unused() > before + kMuch / 2);
  // A write whose source ends early, and one beyond the memory.
  auto memory = Mapping::reserve(kMuch, kPage);
  REQUIRE(memory);
  REQUIRE(::mprotect(memory->data(), kPage, PROT_READ | PROT_WRITE) == 0);
  CHECK(::pwrite(file.fd.get(), memory->data(), kMuch, 0) == static_cast<ssize_t>(kPage));
  CHECK(::pwrite(file.fd.get(), "x", 1, off_t{1} << 39) == -1);
  CHECK(unused() > before + kMuch / 2);
  CHECK(size_of(file.fd.get()) == static_cast<off_t>(kPage));
}

TEST_CASE("offsets at the end of what there is") {
  const Opened file = open_roomy(-1, 0, UINT64_MAX);
  constexpr off_t kFar = std::numeric_limits<off_t>::max();
  for (const off_t at : {kFar - 1, kFar - static_cast<off_t>(kPage), off_t{1} << 62}) {
    CHECK(::pwrite(file.fd.get(), "x", 1, at) == -1);
    CHECK((errno == EFBIG || errno == ENOMEM));
    CHECK(::ftruncate(file.fd.get(), at) == -1);
    CHECK((errno == EFBIG || errno == ENOMEM));
  }
  CHECK(size_of(file.fd.get()) == 0);
}

TEST_CASE("the process's own limit of a file's size holds") {
  const Opened file = open_roomy();
  rlimit before{}, limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  limit = before;
  limit.rlim_cur = 100'000;
  const auto old = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const std::vector<char> bytes(200'000, 'l');
  const ssize_t first = ::pwrite(file.fd.get(), bytes.data(), bytes.size(), 0);
  const ssize_t second = ::pwrite(file.fd.get(), bytes.data(), 1, 100'000);
  const int error = errno;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  (void)std::signal(SIGXFSZ, old);
  CHECK(first == 100'000);
  CHECK(second == -1);
  CHECK(error == EFBIG);
}

TEST_CASE("REPLACE drops what was written beyond the dma-buf") {
  const Buffer buffer(heap_dmabuf(kPage));
  const Opened file = open_roomy();
  write_in_pieces(file.fd.get(), random_bytes(kHuge));
  REQUIRE(bind(file.fd.get(), buffer.fd(), 5, kReplace) == 0);
  CHECK(size_of(file.fd.get()) == 5);
  CHECK(mappable(file.fd.get()));
  const Opened other = open_roomy();
  write_in_pieces(other.fd.get(), random_bytes(kHuge));
  REQUIRE(bind(other.fd.get(), -1, 0, kReplace) == 0);
  CHECK(size_of(other.fd.get()) == 0);
}

TEST_CASE("a hidden dma-buf is read as far as the file goes; shown, the rest of it is zero") {
  const Buffer buffer(heap_dmabuf(4 * kPage));
  buffer.fill(std::vector<char>(4 * kPage, 'h'));
  const Opened file = open_roomy();
  REQUIRE(bind(file.fd.get(), buffer.fd(), 100, kReplace | kHidden) == 0);
  CHECK_FALSE(mappable(file.fd.get()));
  CHECK(errno == ENODEV);
  CHECK(same(all_of(file.fd.get()), std::vector<char>(100, 'h')));
  REQUIRE(::pwrite(file.fd.get(), "w", 1, 200) == 1);
  auto expected = std::vector<char>(100, 'h');
  expected.resize(200, 0);
  expected.push_back('w');
  CHECK(same(all_of(file.fd.get()), expected));
  CHECK(buffer.content()[201] == 'h');
  REQUIRE(bind_with(file.fd.get(), buffer.fd(), 0, kKeep).length == 201);
  expected.resize(4 * kPage, 0);
  CHECK(same(buffer.content(), expected));
  CHECK(mappable(file.fd.get()));
  CHECK(bind(file.fd.get(), buffer.fd(), 201, kReplace | kHidden) == EBUSY);
}

TEST_CASE("what is mapped is not touched by a BIND that is refused") {
  const Buffer buffer(heap_dmabuf(2 * kPage)), other(heap_dmabuf(kHuge));
  buffer.fill(std::vector<char>(2 * kPage, 'm'));
  other.fill(std::vector<char>(kHuge, 'o'));
  const Opened file = open_roomy(buffer.fd(), 100);
  REQUIRE(mappable(file.fd.get()));
  CHECK(bind(file.fd.get(), buffer.fd(), 2 * kPage, kKeep | kHidden) == EBUSY);
  CHECK(same(buffer.content(), std::vector<char>(2 * kPage, 'm')));
  CHECK(bind(file.fd.get(), other.fd(), 0, kKeep) == EBUSY);
  CHECK(same(other.content(), std::vector<char>(kHuge, 'o')));
}

TEST_CASE("what is in the other dma-buf already is kept by FILLED") {
  const Buffer other(heap_dmabuf(kHuge));
  other.fill(std::vector<char>(kHuge, 'o'));
  const Opened file = open_roomy();
  REQUIRE(::pwrite(file.fd.get(), "tail", 4, 0) == 4);
  REQUIRE(bind_with(file.fd.get(), other.fd(), 10, kKeep | DMABUF_FILE_BIND_FILLED).length == 10);
  auto expected = std::vector<char>(kHuge, 'o');
  std::copy_n("tail", 4, expected.begin());
  CHECK(same(other.content(), expected));
  CHECK(size_of(file.fd.get()) == 10);
}

TEST_CASE("who maps a file as soon as he can never sees what was hidden") {
  std::atomic<int> current{-1}, seen{0}, mapped{0};
  std::atomic<bool> stop{false};
  std::thread mapper([&] {
    while (!stop) {
      const int fd = current;
      if (fd < 0) continue;
      const auto mapping = Mapping::of_file(fd, 0, 16 * kPage, PROT_READ);
      if (!mapping) continue;
      ++mapped;
      const auto* bytes = reinterpret_cast<const char*>(mapping->data());
      if (std::count(bytes + 100, bytes + 16 * kPage, 'h') > 0) ++seen;
      int done = fd;
      current.compare_exchange_strong(done, -1);
    }
  });
  for (int round = 0; round < 200; ++round) {
    const Buffer buffer(heap_dmabuf(16 * kPage));
    buffer.fill(std::vector<char>(16 * kPage, 'h'));
    const Opened file = open_roomy();
    REQUIRE(bind(file.fd.get(), buffer.fd(), 100, kReplace | kHidden) == 0);
    current = file.fd.get();
    REQUIRE(bind(file.fd.get(), buffer.fd(), 0, kKeep) == 0);
    while (current >= 0) std::this_thread::yield();
  }
  stop = true;
  mapper.join();
  CHECK(mapped == 200);
  CHECK(seen == 0);
}

TEST_CASE("beyond a dma-buf that is bound as full nothing is written until the next BIND") {
  const Buffer buffer(heap_dmabuf(kPage)), other(heap_dmabuf(kHuge));
  const Opened file = open_roomy(buffer.fd(), 10);
  const auto beyond = [&] { return ::pwrite(file.fd.get(), "x", 1, kPage) == 1 ? 0 : errno; };
  const auto full = [&] { return bind(file.fd.get(), buffer.fd(), 0, kKeep | kFull); };
  REQUIRE(full() == 0);
  CHECK(beyond() == EBUSY);
  CHECK(::pwrite(file.fd.get(), "x", 1, kPage - 1) == 1);
  REQUIRE(bind(file.fd.get(), buffer.fd(), 0, kKeep) == 0);
  CHECK(beyond() == 0);
  REQUIRE(bind(file.fd.get(), other.fd(), 0, kKeep | kFull) == 0);
  CHECK(size_of(file.fd.get()) == kPage + 1);
  REQUIRE(bind(file.fd.get(), -1, 0, kReplace) == 0);
  CHECK(beyond() == 0);
}

TEST_CASE("flags that contradict each other are refused") {
  const Buffer buffer(heap_dmabuf(kPage));
  const Opened file = open_roomy();
  CHECK(bind(file.fd.get(), buffer.fd(), 0, kReplace | kHidden | kFull) == EINVAL);
  for (const uint32_t flags : {kKeep, kReplace | kKeep, kReplace | kHidden, kReplace | kFull})
    CHECK(bind(file.fd.get(), -1, 0, flags) == EINVAL);
  CHECK(bind(file.fd.get(), buffer.fd(), 0, kReplace | DMABUF_FILE_BIND_FILLED) == EINVAL);
  CHECK(bind(file.fd.get(), buffer.fd(), 0, 32) == EINVAL);
}

TEST_CASE("dma-bufs that take each other's place beside several writers lose no byte") {
  constexpr size_t kWriters = 3, kPiece = 10'007, kPieces = 300;
  const Opened file = open_roomy();
  std::atomic<size_t> running{kWriters};
  std::atomic<int> failed{0}, bound{0};
  std::vector<std::thread> writers;
  for (size_t writer = 0; writer < kWriters; ++writer)
    writers.emplace_back([&, writer] {
      const std::vector<char> bytes(kPiece, static_cast<char>('a' + writer));
      for (size_t piece = 0; piece < kPieces; ++piece) {
        while (piece == kPieces / 2 && bound == 0) std::this_thread::yield();
        const size_t at = (piece * kWriters + writer) * kPiece;
        if (::pwrite(file.fd.get(), bytes.data(), kPiece, static_cast<off_t>(at)) !=
            static_cast<ssize_t>(kPiece))
          ++failed;
      }
      --running;
    });
  uint64_t length = 0;
  const auto gather = [&] {
    const UniqueFd dmabuf = heap_dmabuf((length / kPage + 64) * kPage);
    const Bound result = bind_with(file.fd.get(), dmabuf.get(), 0, kKeep);
    if (result.error != 0 && result.error != ENOSPC) ++failed;
    length = result.length;
    bound += result.error == 0;
    return result.error == 0;
  };
  while (running > 0) (void)gather();
  for (auto& writer : writers) writer.join();
  CHECK(gather());
  CHECK(failed == 0);
  CHECK(bound > 1);
  const auto bytes = all_of(file.fd.get());
  REQUIRE(bytes.size() == kWriters * kPieces * kPiece);
  size_t wrong = 0;
  for (size_t at = 0; at < bytes.size(); ++at)
    wrong += bytes[at] != static_cast<char>('a' + at / kPiece % kWriters);
  CHECK(wrong == 0);
}

TEST_CASE("a writer who waits for his own memory holds up nobody") {
  const Buffer buffer(heap_dmabuf(kHuge));
  const Opened file = open_roomy();
  REQUIRE(::pwrite(file.fd.get(), "first", 5, 0) == 5);
  const LateMemory memory;
  std::atomic<ssize_t> put{-1};
  std::thread writer([&] { put = ::pwrite(file.fd.get(), memory.data(), kPage, 5); });
  memory.wait_for_fault();
  CHECK(bind(file.fd.get(), buffer.fd(), 0, kKeep) == 0);
  CHECK(size_of(file.fd.get()) == 5);
  memory.come();
  writer.join();
  CHECK(put == static_cast<ssize_t>(kPage));
  CHECK(size_of(file.fd.get()) == static_cast<off_t>(kPage + 5));
  CHECK(buffer.content()[4] == 't');
}
