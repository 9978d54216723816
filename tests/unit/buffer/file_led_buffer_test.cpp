// SPDX-License-Identifier: MIT
/// Buffers that clients write to past this program. They need the kernel module, which not every run of the
/// unit tests has loaded: hence [.], and tests/guest/kernel.sh runs them.
#include "dmabuffs/buffer/file_led_buffer.h"

#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "buffer_support.h"
#include "dmabuffs/base/kernel_module.h"

using namespace buffer_test;

namespace {

constexpr size_t kLength = 300'000;

/// On each heap whose buffers can be such.
void on_each(const std::function<void(const std::function<std::shared_ptr<Buffer>()>&)>& test) {
  const KernelModule module;
  REQUIRE(module.has_room());
  for (const char* name : {"system", "direct"}) {
    INFO("heap: " << name);
    Bench bench;
    const auto heap = real_heap(bench, name);
    REQUIRE(heap != nullptr);
    test([&] {
      auto buffer = Buffer::make(heap, bench.recycler, 0, "led", {&module, true});
      REQUIRE(buffer->writes_pass());
      return buffer;
    });
    bench.recycler.drain();
    (void)bench.recycler.held_elsewhere();  // what nobody holds any more goes
    CHECK(bench.budget.used() == 0);
  }
}

/// As a client by passthrough.
void write_past(const Buffer& buffer, const Bytes& bytes, uint64_t offset) {
  REQUIRE(::pwrite(buffer.passthrough_fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset)) ==
          static_cast<ssize_t>(bytes.size()));
}

Bytes in_the_dmabuf(const Buffer& buffer) {
  Bytes bytes = through_the_dmabuf(buffer);
  REQUIRE(std::all_of(bytes.begin() + static_cast<ptrdiff_t>(buffer.size()), bytes.end(),
                      [](std::byte byte) { return byte == std::byte{0}; }));
  bytes.resize(buffer.size());
  return bytes;
}

}  // namespace

TEST_CASE("what was written past the program is the buffer's at once, and the dma-buf's after a flush",
          "[.][file-led]") {
  on_each([](const auto& make) {
    std::mt19937 random(1);
    const auto buffer = make();
    Bytes expected = random_bytes(kLength, random);
    write_past(*buffer, expected, 0);
    CHECK(buffer->size() == kLength);
    CHECK(content(*buffer) == expected);
    CHECK_FALSE(buffer->info().is_dmabuf);
    REQUIRE(buffer->flush());
    CHECK(in_the_dmabuf(*buffer) == expected);
    // Beyond it, and in it, by both ways.
    const Bytes more = random_bytes(kLength, random);
    write_past(*buffer, more, kLength);
    uint64_t at = 0;
    REQUIRE(buffer->append(more, at).value() == kLength);
    CHECK(at == 2 * kLength);
    REQUIRE(buffer->write(10, filled(10, 7)).value() == 10);
    expected.insert(expected.end(), more.begin(), more.end());
    expected.insert(expected.end(), more.begin(), more.end());
    std::fill_n(expected.begin() + 10, 10, std::byte{7});
    CHECK(content(*buffer) == expected);
    REQUIRE(buffer->flush());
    CHECK(in_the_dmabuf(*buffer) == expected);
  });
}

TEST_CASE("a buffer that is led is cut, grown, zeroed and emptied with all that waits for a dma-buf",
          "[.][file-led]") {
  on_each([](const auto& make) {
    const auto buffer = make();
    const bool published = GENERATE(false, true);
    write_past(*buffer, filled(kLength, 1), 0);
    if (published) REQUIRE(buffer->flush());
    write_past(*buffer, filled(kLength, 2), kLength);
    REQUIRE(buffer->zero({kLength - 10, 20}));
    Bytes expected = filled(kLength, 1);
    expected.resize(2 * kLength, std::byte{2});
    std::fill_n(expected.begin() + kLength - 10, 20, std::byte{0});
    CHECK(in_the_dmabuf(*buffer) == expected);
    REQUIRE(buffer->resize(kLength));
    expected.resize(kLength);
    CHECK(in_the_dmabuf(*buffer) == expected);
    CHECK(buffer->info().capacity <= kLength + kLength / 8 + kPage);
    REQUIRE(buffer->resize(3 * kLength));
    expected.resize(3 * kLength);
    CHECK(in_the_dmabuf(*buffer) == expected);
    REQUIRE(buffer->allocate({0, 4 * kLength}, true));
    CHECK(buffer->info().capacity >= 4 * kLength);
    CHECK(in_the_dmabuf(*buffer) == expected);
    REQUIRE(buffer->resize(0));
    CHECK(buffer->info().capacity == 0);
    CHECK_FALSE(buffer->info().is_dmabuf);
    write_past(*buffer, filled(10, 3), 5);
    REQUIRE(buffer->flush());
    expected = filled(15, 3);
    std::fill_n(expected.begin(), 5, std::byte{0});
    CHECK(in_the_dmabuf(*buffer) == expected);
  });
}

TEST_CASE(
    "leases of a buffer that is led: what waits gets a dma-buf to be read, and a load is hidden before its "
    "commit",
    "[.][file-led]") {
  on_each([](const auto& make) {
    const auto buffer = make();
    write_past(*buffer, filled(kLength, 1), 0);
    {
      const auto lease = buffer->lease({100, kLength - 100}, Access::Read, 0);
      REQUIRE(lease);
      CHECK(all_equal((*lease)->bytes(), 1));
      CHECK((*lease)->dmabuf().fd >= 0);
      CHECK(buffer->would_block(Access::Write));
      CHECK_FALSE(buffer->lease({0, kLength + 1}, Access::Read, 0));
    }
    REQUIRE(load(*buffer, kLength, filled(kLength, 2), kLength - 50, 3 * kLength));
    CHECK(buffer->size() == 2 * kLength - 50);
    REQUIRE(buffer->flush());
    Bytes expected = filled(kLength, 1);
    expected.resize(2 * kLength - 50, std::byte{2});
    CHECK(in_the_dmabuf(*buffer) == expected);

    // A new one, in memory that was recycled, and of which nothing old may be seen.
    const auto old = make();
    REQUIRE(old->write(0, filled(4 * kMiB, 9)));
    REQUIRE(old->flush());
    REQUIRE(old->resize(0));
    const auto fresh = make();
    {
      const auto lease = fresh->lease({0, 4 * kMiB}, Access::Write, 4 * kMiB);
      REQUIRE(lease);
      CHECK(fresh->size() == 0);
    }
    CHECK(fresh->info().capacity == 0);
    REQUIRE(load(*fresh, 0, filled(4 * kMiB, 3), kMiB, 4 * kMiB));
    CHECK(content(*fresh) == filled(kMiB, 3));
    REQUIRE(fresh->flush());
    CHECK(in_the_dmabuf(*fresh) == filled(kMiB, 3));
  });
}

TEST_CASE("a buffer that is led keeps its dma-buf while others hold it, or once it was mapped",
          "[.][file-led]") {
  on_each([](const auto& make) {
    const auto buffer = make();
    write_past(*buffer, filled(kLength, 1), 0);
    const bool by_mapping = GENERATE(true, false);
    Mapping mapping;
    UniqueFd held;
    if (by_mapping) {
      REQUIRE(buffer->flush());
      auto mapped = Mapping::of_file(buffer->passthrough_fd(), 0, kLength, PROT_READ);
      REQUIRE(mapped);
      mapping = std::move(*mapped);
    } else {
      auto out = buffer->hand_out(/*huge=*/true, nullptr);
      REQUIRE(out);
      held = std::move(out->fd);
    }
    const uint64_t inode = buffer->info().dmabuf_inode;
    REQUIRE(inode != 0);
    const auto refused = buffer->resize(64 * kMiB);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EBUSY);
    REQUIRE(buffer->resize(10));
    REQUIRE(buffer->flush());
    CHECK(buffer->info().dmabuf_inode == inode);
    CHECK(in_the_dmabuf(*buffer) == filled(10, 1));
  });
}

TEST_CASE("who goes on writing past the program while a buffer is flushed loses no byte", "[.][file-led]") {
  on_each([](const auto& make) {
    const auto buffer = make();
    std::thread writer([&] {
      for (unsigned i = 0; i < 400; ++i)
        write_past(*buffer, filled(5000, static_cast<int>(i % 250 + 1)), i * 5000);
    });
    while (buffer->size() < 399 * 5000) REQUIRE(buffer->flush());
    writer.join();
    REQUIRE(buffer->flush());
    Bytes expected;
    for (unsigned i = 0; i < 400; ++i) expected.resize((i + 1) * 5000, static_cast<std::byte>(i % 250 + 1));
    CHECK(in_the_dmabuf(*buffer) == expected);
  });
}
