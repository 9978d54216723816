// SPDX-License-Identifier: MIT
// Passthrough to dma-bufs, by the regular files that the kernel module makes of them. Hidden: it takes the
// module, libfuse 3.17 and root (tests/guest/kernel_passthrough.sh). docs/semantics.md says what is promised.
#include "passthrough_heaps.h"

using namespace mount_support;

namespace {

void make(const std::string& path, const std::string& text) {
  const UniqueFd writer = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  write_at(writer, 0, text);
}

uint64_t read_by_daemon(const Mount& mount) {
  return mount.status()["through_daemon"]["read_bytes"].get<uint64_t>();
}

}  // namespace

TEST_CASE("dma-buf passthrough: open, ftruncate, mmap, write through the mapping, close on one descriptor",
          "[.][dmabuf-passthrough]") {
  const Mount mount;
  const std::string text = pattern(kSize, 1);
  on_each_heap(mount, [&](const std::string& path) {
    {
      const UniqueFd fd = open_file(path, O_RDWR | O_CREAT);
      CHECK(::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd.get(), 0) == MAP_FAILED);
      REQUIRE(::ftruncate(fd.get(), kSize) == 0);
      const Mapping mapping = map(fd, kSize);
      CHECK(same(text_of(mapping), std::string(kSize, '\0')));
      std::memcpy(mapping.data(), text.data(), kSize);
    }
    CHECK(same(content(path), text));
    const UniqueFd fd = open_file(path, O_RDWR);
    CHECK(same(read_at(fd, 0, kSize), text));
    CHECK(same(text_of(map(fd, kSize, PROT_READ)), text));
  });
}

TEST_CASE("dma-buf passthrough: readers pass the daemon; what is written and what is mapped show the same",
          "[.][dmabuf-passthrough]") {
  const Mount mount;
  const std::string text = pattern(kSize, 2), more = pattern(100'001, 3);
  on_each_heap(mount, [&](const std::string& path) {
    make(path, text);
    const UniqueFd reader = open_file(path, O_RDONLY), writer = open_file(path, O_RDWR);
    const Mapping mapping = map(reader, kSize, PROT_READ);
    const uint64_t before = read_by_daemon(mount);
    CHECK(same(read_at(reader, 0, kSize), text));
    CHECK(read_by_daemon(mount) - before < 100'000);  // of status itself
    write_at(writer, 50'000, more);
    std::string now = text;
    now.replace(50'000, more.size(), more);
    CHECK(same(read_at(reader, 0, kSize + 1), now));
    CHECK(same(read_at(writer, 0, kSize + 1), now));
    CHECK(same(text_of(mapping), now));
    REQUIRE(::ftruncate(writer.get(), kSize / 2) == 0);
    CHECK(same(read_at(reader, 0, kSize), now.substr(0, kSize / 2)));
    REQUIRE(::ftruncate(writer.get(), kSize) == 0);
    now.replace(kSize / 2, kSize / 2, kSize / 2, '\0');
    CHECK(same(read_at(reader, 0, kSize), now));
  });
}

TEST_CASE("dma-buf passthrough: an open buffer still grows, and its readers see it",
          "[.][dmabuf-passthrough]") {
  const Mount mount;
  on_each_heap(mount, [&](const std::string& path) {
    std::string text = pattern(kPage, 4);
    make(path, text);
    const UniqueFd reader = open_file(path, O_RDONLY), writer = open_file(path, O_WRONLY | O_APPEND);
    for (unsigned seed = 0; seed < 40; ++seed) {
      const std::string more = pattern(50'000 + seed, seed);
      REQUIRE(::write(writer.get(), more.data(), more.size()) == static_cast<ssize_t>(more.size()));
      text += more;
      REQUIRE(size_of(reader) == text.size());
      REQUIRE(same(read_at(reader, 0, text.size() + 1), text));
    }
    // What was taken ahead goes back at the close.
    const UniqueFd twin(::dup(writer.get()));
    { const UniqueFd closing(::dup(writer.get())); }
    struct stat st {};
    REQUIRE(::fstat(reader.get(), &st) == 0);
    CHECK(static_cast<uint64_t>(st.st_blocks) * 512 <= text.size() + text.size() / 8 + kPage);
    CHECK(same(read_at(reader, 0, text.size() + 1), text));
    CHECK(same(text_of(map(reader, text.size(), PROT_READ)), text));
  });
}

TEST_CASE("dma-buf passthrough: what was mapped stays the buffer: EBUSY beyond it, not other memory",
          "[.][dmabuf-passthrough]") {
  const Mount mount;
  const std::string text = pattern(kSize, 5);
  put(mount.data + "small", text.substr(0, 2 * kPage));
  put(mount.data + "large", text + text);
  on_each_heap(mount, [&](const std::string& path) {
    make(path, text);
    const UniqueFd fd = open_file(path, O_RDWR);
    const Mapping mapping = map(fd, kSize);
    CHECK(::ftruncate(fd.get(), 4 * kSize) == -1);
    CHECK(errno == EBUSY);
    CHECK(same(text_of(mapping), text));
    {
      // As `cp small buffer` does it.
      const UniqueFd again = open_file(path, O_WRONLY | O_TRUNC);
      CHECK(same(text_of(mapping), std::string(kSize, '\0')));
      const UniqueFd source = open_file(mount.files + "small", O_RDONLY);
      CHECK(copy_range(source, 0, again, 0, 2 * kPage) == 2 * kPage);
      CHECK(same(text_of(mapping).substr(0, 2 * kPage), text.substr(0, 2 * kPage)));
      const UniqueFd large = open_file(mount.files + "large", O_RDONLY);
      CHECK(::copy_file_range(large.get(), nullptr, again.get(), nullptr, 2 * kSize, 0) == -1);
      CHECK(errno == EBUSY);
    }
    CHECK(same(content(path), text.substr(0, 2 * kPage)));
    mapping.data()[kPage] = std::byte{7};
    CHECK(content(path)[kPage] == 7);
  });
}

TEST_CASE("dma-buf passthrough: a mapping outlives its buffer, whose memory goes to nobody else meanwhile",
          "[.][dmabuf-passthrough]") {
  const Mount mount({"-o", "recycle=64M"});
  const std::string text = pattern(kSize, 6);
  put(mount.data + "other", std::string(kSize, 'o'));
  on_each_heap(mount, [&](const std::string& path) {
    make(path, text);
    UniqueFd fd = open_file(path, O_RDONLY);
    const Mapping mapping = map(fd, kSize, PROT_READ);
    fd.reset();
    REQUIRE(::unlink(path.c_str()) == 0);
    for (int round = 0; round < 3; ++round) {
      const UniqueFd next = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
      const UniqueFd source = open_file(mount.files + "other", O_RDONLY);
      REQUIRE(copy_range(source, 0, next, 0, kSize) == kSize);
      CHECK(same(text_of(mapping), text));
    }
  });
}

TEST_CASE("dma-buf passthrough: a direct copy and a mapping show each other's bytes",
          "[.][dmabuf-passthrough]") {
  const Mount mount;
  const std::string text = pattern(kSize, 7);
  put(mount.data + "source", text);
  on_each_heap(mount, [&](const std::string& path) {
    const UniqueFd fd = open_file(path, O_RDWR | O_CREAT);
    {
      const UniqueFd source = open_file(mount.files + "source", O_RDONLY);
      REQUIRE(copy_range(source, 0, fd, 0, kSize) == kSize);
    }
    const Mapping mapping = map(fd, kSize);
    CHECK(same(text_of(mapping), text));
    std::memset(mapping.data(), 'w', kPage);
    {
      const UniqueFd target = open_file(mount.files + "target", O_RDWR | O_CREAT | O_TRUNC);
      REQUIRE(copy_range(fd, 0, target, 0, kSize) == kSize);
    }
    CHECK(same(content(mount.data + "target"), std::string(kPage, 'w') + text.substr(kPage)));
  });
}

TEST_CASE("dma-buf passthrough: who reads while a buffer is filled anew", "[.][dmabuf-passthrough]") {
  const Mount mount;
  const std::string text = pattern(kSize, 8), other = pattern(2 * kSize, 9);
  on_each_heap(mount, [&](const std::string& path) {
    make(path, text);
    const UniqueFd before = open_file(path, O_RDONLY);
    {
      const UniqueFd writer = open_file(path, O_WRONLY | O_TRUNC);
      CHECK(read_at(before, 0, kSize).empty());
      write_at(writer, 0, other);
      const UniqueFd anew = open_file(path, O_RDONLY);
      CHECK(same(read_at(anew, 0, other.size() + 1), other));
    }
    CHECK(same(read_at(before, 0, other.size() + 1), other));
  });
}

TEST_CASE("dma-buf passthrough: a private mapping is refused, or right", "[.][dmabuf-passthrough]") {
  const Mount mount;
  const std::string text = pattern(kSize, 10);
  on_each_heap(mount, [&](const std::string& path) {
    make(path, text);
    const UniqueFd fd = open_file(path, O_RDONLY);
    void* at = ::mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (at == MAP_FAILED) {
      CHECK(errno == EINVAL);
    } else {
      CHECK(std::memcmp(at, text.data(), kSize) == 0);
      ::munmap(at, kSize);
    }
  });
}
