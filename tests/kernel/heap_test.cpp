// SPDX-License-Identifier: MIT
// ALLOC and LOAD: the module's own buffers.
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

uint64_t pool_bytes() {
  dmabuf_file_query query{};
  REQUIRE(call(DMABUF_FILE_QUERY, query) == 0);
  return query.pool_bytes;
}

const std::vector<char>& marked() {
  static const std::vector<char> bytes(8 * kHuge, '\x5a');
  return bytes;
}
/// Leaves pages full of marks behind.
void leave_marks() {
  {
    const Buffer buffer(own_dmabuf(8 * kHuge));
    buffer.fill(marked());
  }
  REQUIRE(pool_bytes() > 0);
}

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

TEST_CASE("nothing of what was in pooled pages is ever seen") {
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
