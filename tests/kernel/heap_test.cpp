// SPDX-License-Identifier: MIT
// ALLOC and LOAD: the module's own buffers.
#include <pthread.h>
#include <sys/time.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "kernel/kernel_support.h"

using namespace kernel;

namespace {

struct Loaded {
  int error = 0;
  uint64_t bytes = 0;
  uint32_t how = 0;
  UniqueFd fd;
};
Loaded load(int file, size_t length, const std::vector<Segment>& segments, uint32_t flags = 0) {
  dmabuf_file_load request{};
  request.fd_flags = O_RDWR | O_CLOEXEC;
  request.length = length;
  request.flags = flags;
  request.file_fd = file;
  request.segments = reinterpret_cast<uintptr_t>(segments.data());
  request.segment_count = static_cast<uint32_t>(segments.size());
  const int error = call(DMABUF_FILE_LOAD, request);
  return {error, request.bytes, request.how, UniqueFd(error == 0 ? request.dmabuf_fd : -1)};
}

const std::vector<char>& marked() {
  static const std::vector<char> bytes(8 * kHuge, '\x5a');
  return bytes;
}
/// Leaves pages full of marks behind, which whoever allocates next is likely to get.
void leave_marks() {
  const Buffer buffer(own_dmabuf(8 * kHuge));
  buffer.fill(marked());
}

/// An interval timer whose handler restarts calls. It stops after `kMost` signals, lest a call that does
/// nothing else than to begin anew goes on for ever.
class Interrupts {
 public:
  static constexpr int kMost = 200;
  Interrupts() {
    signals_ = 0;
    struct sigaction action {};
    action.sa_handler = [](int) {
      if (++signals_ == kMost) stop();
    };
    action.sa_flags = SA_RESTART;
    REQUIRE(::sigaction(SIGALRM, &action, &before_) == 0);
    const itimerval often{{0, 2000}, {0, 2000}};
    REQUIRE(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
  }
  ~Interrupts() {
    stop();
    ::sigaction(SIGALRM, &before_, nullptr);
  }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  static int signals() { return signals_; }

 private:
  static void stop() {
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
  }
  static inline std::atomic<int> signals_{0};
  struct sigaction before_ {};
};

}  // namespace

TEST_CASE("ALLOC gives zeroes, of any length") {
  for (const size_t length :
       {size_t{1}, kPage, kPage + 1, kHuge - kPage, kHuge, kHuge + 1, 5 * kHuge + 3 * kPage}) {
    leave_marks();
    const Buffer buffer(own_dmabuf(length));
    CHECK(buffer.size() == (length + kPage - 1) / kPage * kPage);
    CHECK(same(buffer.content(), std::vector<char>(buffer.size())));
  }
}

TEST_CASE("LOAD by direct I/O takes a file of any length, asked for in whole blocks") {
  for (const size_t length : {size_t{1}, kPage - 1, kPage + 1, kHuge - 1, 3 * kHuge + 12'345}) {
    leave_marks();
    const auto content = random_bytes(length);
    const File file(content);
    const size_t whole = (length + kPage - 1) / kPage * kPage;
    const Loaded loaded = load(file.fd(), whole, {{0, 0, whole}}, DMABUF_FILE_REQUIRE_DIRECT);
    REQUIRE(loaded.error == 0);
    CHECK(loaded.bytes == length);
    CHECK((loaded.how & DMABUF_FILE_HOW_DIRECT) != 0);
    CHECK((loaded.how & DMABUF_FILE_HOW_BUFFERED) == 0);
    auto expected = content;
    expected.resize(whole);
    CHECK(same(Buffer(UniqueFd(::dup(loaded.fd.get()))).content(), expected));
  }
}

TEST_CASE("LOAD refuses what is not aligned before it reads, where direct I/O is required") {
  const File file(random_bytes(2 * kHuge));
  for (const Segment& segment : {Segment{0, 1, kHuge}, Segment{1, 0, kHuge}, Segment{0, 0, kHuge + 1}}) {
    CHECK(load(file.fd(), 2 * kHuge, {segment}, DMABUF_FILE_REQUIRE_DIRECT).error == EINVAL);
    CHECK(load(file.fd(), 2 * kHuge, {segment}).error == 0);
  }
}

TEST_CASE("LOAD may be interrupted, if that was asked for") {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGURG, &action, nullptr) == 0);
  const File file(random_bytes(16 * kHuge));
  const pthread_t loader = ::pthread_self();
  for (const uint32_t flags : {uint32_t{DMABUF_FILE_INTERRUPTIBLE}, uint32_t{0}}) {
    std::atomic<bool> stop{false};
    std::thread sender([&] {
      while (!stop) {
        ::pthread_kill(loader, SIGURG);
        ::usleep(200);
      }
    });
    int interrupted = 0;
    for (int round = 0; round < 10; ++round) {
      const int error = load(file.fd(), 16 * kHuge, {{0, 0, 16 * kHuge}}, flags).error;
      CHECK((error == 0 || error == EINTR));
      interrupted += error == EINTR;
    }
    stop = true;
    sender.join();
    CHECK((interrupted > 0) == (flags != 0));
  }
}

TEST_CASE("LOAD that may be interrupted ends, though the handler restarts calls") {
  const size_t size = 32 * kHuge;
  const File file(random_bytes(size));
  const Interrupts interrupts;
  CHECK(load(file.fd(), size, {{0, 0, size}}, DMABUF_FILE_INTERRUPTIBLE).error == EINTR);
  CHECK(Interrupts::signals() < Interrupts::kMost);
}

TEST_CASE("TRANSFER gets on, however often there is a signal") {
  const size_t size = 32 * kHuge;
  const auto content = random_bytes(size);
  const File file(content);
  const Buffer buffer(own_dmabuf(size));
  size_t done = 0;
  for (int calls = 0; done < size && calls < 100; ++calls) {
    const Interrupts interrupts;
    const Moved moved = transfer(buffer.fd(), file.fd(), {{done, done, size - done}});
    REQUIRE(moved.error == 0);
    REQUIRE(moved.bytes > 0);
    CHECK(Interrupts::signals() < Interrupts::kMost);
    done += moved.bytes;
  }
  CHECK(same(buffer.content(), content));
}

TEST_CASE("a buffer made for reading can be mapped for that, and not for more") {
  dmabuf_file_alloc request{};
  request.fd_flags = O_RDONLY | O_CLOEXEC;
  request.length = 3 * kHuge;
  REQUIRE(call(DMABUF_FILE_ALLOC, request) == 0);
  const UniqueFd reader(request.dmabuf_fd);
  auto mapped = Mapping::of_file(reader.get(), 0, 3 * kHuge, PROT_READ);
  REQUIRE(mapped);
  CHECK(static_cast<int>(mapped->data()[3 * kHuge - 1]) == 0);
  CHECK(::mprotect(mapped->data(), kPage, PROT_READ | PROT_WRITE) == -1);
  CHECK(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, reader.get(), 0) == MAP_FAILED);
  CHECK(::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, reader.get(), 0) == MAP_FAILED);
}

TEST_CASE("LOAD fills a buffer by direct I/O") {
  const auto content = random_bytes(8 * kHuge);
  const File file(content);
  for (int round = 0; round < 3; ++round) {
    Loaded loaded = load(file.fd(), content.size(), {{0, 0, content.size()}}, DMABUF_FILE_REQUIRE_DIRECT);
    REQUIRE(loaded.error == 0);
    CHECK(loaded.bytes == content.size());
    CHECK(loaded.how == (DMABUF_FILE_HOW_DIRECT | DMABUF_FILE_HOW_OWN_PAGES));
    CHECK(same(Buffer(std::move(loaded.fd)).content(), content));
  }
}

TEST_CASE("nothing of what others left in memory is ever seen") {
  const auto content = random_bytes(4 * kHuge + 12345);
  const File file(content);
  std::mt19937 random(11);
  for (int round = 0; round < 40; ++round) {
    leave_marks();
    const size_t length = 1 + random() % (8 * kHuge);
    std::vector<Segment> segments;
    std::vector<char> expected((length + kPage - 1) / kPage * kPage);
    size_t at = 0;
    while (segments.size() < 5) {
      const size_t unit = random() % 2 ? 1 : kPage;
      at = (at + random() % kHuge) / unit * unit;
      if (at >= length) break;
      const size_t bytes = std::min(length - at, (1 + random() % (2 * kHuge)));
      const size_t from = random() % (5 * kHuge) / unit * unit;
      segments.push_back({at, from, bytes});
      at += bytes;
    }
    if (segments.empty()) segments.push_back({0, 0, 1});
    std::shuffle(segments.begin(), segments.end(), random);
    uint64_t total = 0;
    for (const Segment& segment : segments) {
      const uint64_t there = segment.file_offset < content.size()
                                 ? std::min<uint64_t>(segment.length, content.size() - segment.file_offset)
                                 : 0;
      std::copy_n(content.begin() + static_cast<ptrdiff_t>(there ? segment.file_offset : 0), there,
                  expected.begin() + static_cast<ptrdiff_t>(segment.buffer_offset));
      total += there;
      if (there < segment.length) break;
    }
    INFO("round " << round << ": " << length << " bytes, " << segments.size() << " segments");
    Loaded loaded = load(file.fd(), length, segments);
    REQUIRE(loaded.error == 0);
    CHECK(loaded.bytes == total);
    REQUIRE(same(Buffer(std::move(loaded.fd)).content(), expected));
  }
}

TEST_CASE("a LOAD that can't be leaves no descriptor") {
  const File file(random_bytes(kPage));
  CHECK(load(file.fd(), 0, {{0, 0, kPage}}).error == EINVAL);
  CHECK(load(file.fd(), kPage, {{0, 0, 2 * kPage}}).error == EINVAL);
  CHECK(load(file.fd(), 4 * kPage, {{0, 0, 2 * kPage}, {kPage, 0, kPage}}).error == EINVAL);
  CHECK(load(file.fd(), size_t{1} << 50, {{0, 0, kPage}}).error == ENOMEM);
  const UniqueFd writer = open_file(file.path(), O_WRONLY);
  CHECK(load(writer.get(), kPage, {{0, 0, kPage}}).error == EBADF);
}
