// SPDX-License-Identifier: MIT
// Buffers through the kernel: mappings, splice and sendfile, and what passthrough adds. docs/semantics.md
// says what is promised where FUSE itself sets a limit.
#include <sys/mman.h>
#include <sys/sendfile.h>

#include <array>

#include "dmabuffs/base/range.h"
#include "mount_support.h"

using namespace mount_support;

using dmabuffs::kMiB;

namespace {

std::string pattern(size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(1 + (i * 7 + i / 4096 + seed) % 255);
  return text;
}

struct Pages {
  void* at;
  size_t length;
  Pages(const UniqueFd& fd, size_t bytes, int protection, int flags)
      : at(::mmap(nullptr, bytes, protection, flags, fd.get(), 0)), length(bytes) {}
  ~Pages() {
    if (*this) ::munmap(at, length);
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  explicit operator bool() const { return at != MAP_FAILED; }
  [[nodiscard]] char* bytes() const { return static_cast<char*>(at); }
  [[nodiscard]] bool hold(const std::string& text) const {
    return std::memcmp(at, text.data(), text.size()) == 0;
  }
};

/// A buffer with these bytes on each heap of a mount.
template <class Look>
void on_each_heap(const Mount& mount, const std::string& text, Look look) {
  for (const std::string& heap : mount.heaps()) {
    INFO("heap " << heap);
    const std::string path = mount.heap(heap) + "buffer";
    {
      const UniqueFd writer = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
      write_at(writer, 0, text);
    }
    const UniqueFd fd = open_file(path, O_RDWR);
    look(fd, path);
    REQUIRE(::unlink(path.c_str()) == 0);
  }
}

}  // namespace

TEST_CASE("without passthrough MAP_SHARED of a buffer fails with ENODEV, on every heap") {
  const Mount mount({"-o", "no_passthrough"});
  const std::string text = pattern(10000, 1);
  on_each_heap(mount, text, [&](const UniqueFd& fd, const std::string&) {
    for (const int protection : {PROT_READ, PROT_READ | PROT_WRITE}) {
      errno = 0;
      const Pages pages(fd, text.size(), protection, MAP_SHARED);
      CHECK_FALSE(pages);
      CHECK(errno == ENODEV);
    }
    CHECK(mount.passthrough_opens() == 0);
  });
}

TEST_CASE("MAP_SHARED of a buffer of a dma-buf heap fails with ENODEV without the kernel module") {
  const Mount mount;
  on_each_heap(mount, pattern(10000, 1), [&](const UniqueFd& fd, const std::string& path) {
    if (path.find("/memfd/") != std::string::npos) return;
    errno = 0;
    const Pages pages(fd, 10000, PROT_READ, MAP_SHARED);
    CHECK_FALSE(pages);
    CHECK(errno == ENODEV);
  });
}

TEST_CASE(
    "without passthrough a private mapping shows the bytes there were, and what it changes is its own") {
  const Mount mount({"-o", "no_passthrough"});
  const std::string text = pattern(100'001, 2);
  on_each_heap(mount, text, [&](const UniqueFd& fd, const std::string&) {
    const Pages pages(fd, text.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE);
    REQUIRE(pages);
    CHECK(pages.hold(text));
    // The last page goes on with zeros.
    CHECK(pages.bytes()[text.size()] == 0);
    std::memset(pages.bytes(), 'p', 5000);
    const bool untouched = read_at(fd, 0, text.size()) == text;
    CHECK(untouched);
    // A mapping made later, and reads, show what was written meanwhile.
    write_at(fd, 50'000, "written");
    CHECK(read_at(fd, 50'000, 7) == "written");
    const Pages later(fd, text.size(), PROT_READ, MAP_PRIVATE);
    REQUIRE(later);
    CHECK(std::string(later.bytes() + 50'000, 7) == "written");
  });
}

TEST_CASE("splice out of a buffer and into one moves the bytes, without passthrough") {
  const Mount mount({"-o", "no_passthrough"});
  const std::string text = pattern(kMiB + 12345, 3);
  const std::string copy = mount.work + "/spliced";
  on_each_heap(mount, text, [&](const UniqueFd& fd, const std::string& path) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd reader(ends[0]), writer(ends[1]);
    const auto through_pipe = [&](const UniqueFd& from, const UniqueFd& to) {
      loff_t in = 0, out = 0;
      for (;;) {
        const ssize_t got = ::splice(from.get(), &in, writer.get(), nullptr, 65536, 0);
        INFO(std::strerror(errno));
        REQUIRE(got >= 0);
        if (got == 0) return;
        for (ssize_t left = got; left > 0;) {
          const ssize_t put = ::splice(reader.get(), nullptr, to.get(), &out, static_cast<size_t>(left), 0);
          INFO(std::strerror(errno));
          REQUIRE(put > 0);
          left -= put;
        }
      }
    };
    {
      const UniqueFd outside = open_file(copy, O_RDWR | O_CREAT | O_TRUNC);
      through_pipe(fd, outside);
      const bool out_same = content(copy) == text;
      CHECK(out_same);
      const UniqueFd other = open_file(path + "2", O_RDWR | O_CREAT | O_TRUNC);
      through_pipe(outside, other);
      const bool in_same = read_at(other, 0, text.size() + 1) == text;
      CHECK(in_same);
    }
    REQUIRE(::unlink((path + "2").c_str()) == 0);
  });
}

TEST_CASE("sendfile out of a buffer and into one moves the bytes, without passthrough") {
  const Mount mount({"-o", "no_passthrough"});
  const std::string text = pattern(kMiB + 12345, 4);
  const std::string copy = mount.work + "/sent";
  on_each_heap(mount, text, [&](const UniqueFd& fd, const std::string& path) {
    const auto send = [&](const UniqueFd& from, const UniqueFd& to) {
      off_t at = 0;
      ssize_t sent = 0;
      while ((sent = ::sendfile(to.get(), from.get(), &at, 4 * kMiB)) > 0) {
      }
      INFO(std::strerror(errno));
      REQUIRE(sent == 0);
    };
    {
      const UniqueFd outside = open_file(copy, O_RDWR | O_CREAT | O_TRUNC);
      send(fd, outside);
      const bool out_same = content(copy) == text;
      CHECK(out_same);
      const UniqueFd other = open_file(path + "2", O_RDWR | O_CREAT | O_TRUNC);
      send(outside, other);
      const bool in_same = read_at(other, 0, text.size() + 1) == text;
      CHECK(in_same);
    }
    REQUIRE(::unlink((path + "2").c_str()) == 0);
  });
}

TEST_CASE("a read by the same descriptor sees what another wrote, however it looked before") {
  const Mount mount;
  on_each_heap(mount, pattern(100'000, 5), [&](const UniqueFd& fd, const std::string& path) {
    const Pages looked(fd, 100'000, PROT_READ, MAP_PRIVATE);  // fills pages of the kernel
    REQUIRE(looked);
    volatile char seen = looked.bytes()[5000];
    (void)seen;
    const UniqueFd other = open_file(path, O_RDWR);
    for (int round = 0; round < 20; ++round) {
      const std::string text = "round " + std::to_string(1000 + round);
      write_at(other, 4999, text);
      CHECK(read_at(fd, 4999, text.size()) == text);
    }
  });
}

TEST_CASE("a buffer can't be renamed into another heap") {
  const Mount mount;
  const auto heaps = mount.heaps();
  for (const std::string& from : heaps) {
    for (const std::string& to : heaps) {
      if (from == to) continue;
      const std::string path = mount.heap(from) + "moving";
      put(path, "bytes");
      errno = 0;
      CHECK(::rename(path.c_str(), (mount.heap(to) + "moved").c_str()) == -1);
      CHECK(errno == EXDEV);
      CHECK(content(path) == "bytes");
      CHECK(::unlink(path.c_str()) == 0);
    }
    const std::string path = mount.heap(from) + "moving";
    put(path, "bytes");
    errno = 0;
    CHECK(::rename(path.c_str(), (mount.files + "moved").c_str()) == -1);
    CHECK(errno == EXDEV);
    CHECK(::unlink(path.c_str()) == 0);
  }
}

TEST_CASE("one copy_file_range moves 256 MiB at most, and several move all") {
  const Mount mount;
  constexpr uint64_t kSize = 600 * kMiB;
  const UniqueFd host = open_file(mount.data + "big", O_RDWR | O_CREAT);
  REQUIRE(::ftruncate(host.get(), static_cast<off_t>(kSize)) == 0);
  for (uint64_t at = 0; at < kSize; at += 50 * kMiB) write_at(host, at + 4095, "mark " + std::to_string(at));
  const UniqueFd from = open_file(mount.files + "big", O_RDONLY);
  const UniqueFd to = open_file(mount.heap("memfd") + "big", O_RDWR | O_CREAT);
  loff_t in = 0, out = 0;
  while (static_cast<uint64_t>(in) < kSize) {
    const ssize_t moved = ::copy_file_range(from.get(), &in, to.get(), &out, kSize, 0);
    REQUIRE(moved > 0);
    CHECK(static_cast<uint64_t>(moved) <= 256 * kMiB);
  }
  CHECK(size_of(to) == kSize);
  for (uint64_t at = 0; at < kSize; at += 50 * kMiB) {
    const std::string mark = "mark " + std::to_string(at);
    CHECK(read_at(to, at + 4095, mark.size()) == mark);
  }
  REQUIRE(::unlink((mount.heap("memfd") + "big").c_str()) == 0);
}

// Hidden, since not every machine has passthrough: tests/mount/passthrough.sh knows when they must succeed.

TEST_CASE(
    "with passthrough a shared mapping is the buffer's own pages: open, ftruncate, mmap on one descriptor",
    "[.][passthrough]") {
  const Mount mount;
  const std::string path = mount.heap("memfd") + "frame";
  const UniqueFd fd = open_file(path, O_RDWR | O_CREAT | O_EXCL);
  REQUIRE(::ftruncate(fd.get(), 3 * kMiB) == 0);
  const Pages pages(fd, 3 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED);
  INFO(std::strerror(errno));
  REQUIRE(pages);
  CHECK(mount.passthrough_opens() == 1);
  const std::string text = pattern(2 * kMiB, 1);
  write_at(fd, 4000, text);
  const bool write_seen = std::memcmp(pages.bytes() + 4000, text.data(), text.size()) == 0;
  CHECK(write_seen);
  std::memcpy(pages.bytes() + 777, "by the mapping", 14);
  CHECK(read_at(fd, 777, 14) == "by the mapping");
  const UniqueFd other = open_file(path, O_RDWR);
  CHECK(read_at(other, 777, 14) == "by the mapping");
  write_at(other, 100, "by another");
  CHECK(std::string(pages.bytes() + 100, 10) == "by another");
  CHECK(content(path).substr(777, 14) == "by the mapping");
}

TEST_CASE("with passthrough a direct copy and a mapping show each other's bytes", "[.][passthrough]") {
  const Mount mount;
  const std::string text = pattern(2 * kMiB, 2);
  put(mount.data + "in", text);
  const UniqueFd in = open_file(mount.files + "in", O_RDONLY);
  const UniqueFd buffer = open_file(mount.heap("memfd") + "buffer", O_RDWR | O_CREAT);
  REQUIRE(::ftruncate(buffer.get(), 2 * kMiB) == 0);
  const Pages pages(buffer, 2 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED);
  REQUIRE(pages);
  REQUIRE(copy_range(in, 0, buffer, 0, text.size()) == text.size());
  CHECK(pages.hold(text));
  std::memset(pages.bytes() + kMiB, 'm', 5000);
  const UniqueFd out = open_file(mount.files + "out", O_RDWR | O_CREAT | O_TRUNC);
  REQUIRE(copy_range(buffer, 0, out, 0, text.size()) == text.size());
  CHECK(content(mount.data + "out").substr(kMiB - 1, 5001) ==
        text.substr(kMiB - 1, 1) + std::string(5000, 'm'));
}

TEST_CASE("with passthrough several opens share one backing, and a later open has one again",
          "[.][passthrough]") {
  const Mount mount;
  const std::string path = mount.heap("memfd") + "buffer";
  auto first = open_file(path, O_RDWR | O_CREAT);
  write_at(first, 0, "first");
  auto second = open_file(path, O_RDWR);
  const UniqueFd reader = open_file(path, O_RDONLY);
  CHECK(read_at(second, 0, 5) == "first");
  write_at(second, 0, "SECOND");
  CHECK(read_at(reader, 0, 10) == "SECOND");
  CHECK(size_of(first) == 6);
  first.reset();
  write_at(second, 6, " more");
  CHECK(read_at(reader, 0, 20) == "SECOND more");
  second.reset();
  CHECK(mount.passthrough_opens() == 3);
  const UniqueFd again = open_file(path, O_RDWR);
  CHECK(mount.passthrough_opens() == 4);
  CHECK(read_at(again, 0, 20) == "SECOND more");
  REQUIRE(::ftruncate(again.get(), 3) == 0);
  CHECK(read_at(reader, 0, 20) == "SEC");
  REQUIRE(::ftruncate(again.get(), 8) == 0);
  CHECK(read_at(reader, 0, 20) == std::string("SEC\0\0\0\0\0", 8));
  struct stat st {};
  REQUIRE(::stat(path.c_str(), &st) == 0);
  CHECK(st.st_size == 8);
}

TEST_CASE("with passthrough a removed buffer lives on for who has it open or mapped", "[.][passthrough]") {
  const Mount mount;
  const std::string path = mount.heap("memfd") + "buffer";
  auto fd = open_file(path, O_RDWR | O_CREAT);
  const std::string text = pattern(100'000, 3);
  write_at(fd, 0, text);
  REQUIRE(::unlink(path.c_str()) == 0);
  const bool there = read_at(fd, 0, text.size()) == text;
  CHECK(there);
  write_at(fd, 0, "after");
  const Pages pages(fd, text.size(), PROT_READ | PROT_WRITE, MAP_SHARED);
  REQUIRE(pages);
  CHECK(std::string(pages.bytes(), 5) == "after");
  fd.reset();
  CHECK(std::memcmp(pages.bytes() + 5, text.data() + 5, text.size() - 5) == 0);
  // Its name serves another.
  const UniqueFd other = open_file(path, O_RDWR | O_CREAT | O_EXCL);
  write_at(other, 0, "other");
  CHECK(std::string(pages.bytes(), 5) == "after");
}

TEST_CASE("with -o size= a writer's mappings pass the daemon, and its writes keep to the limit",
          "[.][passthrough]") {
  const Mount mount({"-o", "size=8M"});
  const std::string path = mount.heap("memfd") + "buffer";
  const std::string much(8 * kMiB, 'y');
  // Made, and opened again beside a reader, which has all of passthrough.
  for (const int flags : {O_RDWR | O_CREAT | O_EXCL, O_RDWR}) {
    const UniqueFd fd = open_file(path, flags);
    write_at(fd, 0, std::string(4 * kMiB, 'x'));
    const Pages pages(fd, 4 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED);
    REQUIRE(pages);
    pages.bytes()[5] = 'm';
    CHECK(read_at(fd, 4, 3) == "xmx");
    const UniqueFd reader = open_file(path, O_RDONLY);
    CHECK(read_at(reader, 4, 3) == "xmx");
    CHECK(::pwrite(fd.get(), much.data(), much.size(), 4 * kMiB) <= static_cast<ssize_t>(4 * kMiB));
    CHECK(size_of(fd) <= 8 * kMiB);
    REQUIRE(::ftruncate(fd.get(), 4 * kMiB) == 0);
  }
}

TEST_CASE("O_APPEND holds for as long as fcntl lets it, on every heap") {
  const Mount mount;
  on_each_heap(mount, "0123456789", [](const UniqueFd&, const std::string& path) {
    const UniqueFd fd = open_file(path, O_RDWR | O_APPEND);
    REQUIRE(::write(fd.get(), "AB", 2) == 2);
    REQUIRE(::fcntl(fd.get(), F_SETFL, 0) == 0);
    REQUIRE(::pwrite(fd.get(), "X", 1, 0) == 1);
    CHECK(read_at(fd, 0, 20) == "X123456789AB");
    REQUIRE(::fcntl(fd.get(), F_SETFL, O_APPEND) == 0);
    REQUIRE(::write(fd.get(), "Y", 1) == 1);
    CHECK(read_at(fd, 0, 20) == "X123456789ABY");
  });
}
