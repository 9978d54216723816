// SPDX-License-Identifier: MIT
/// How a dma-buf comes to be, grows, shrinks and keeps its identity.
#include <unistd.h>

#include "buffer_support.h"

using namespace buffer_test;

TEST_CASE("a buffer written in pieces becomes a dma-buf when it is flushed, no larger than needed") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->info().capacity == 0);
    for (int piece = 0; piece < 5; ++piece) {
      REQUIRE(buffer->write(piece * 100000, filled(100000, piece + 1)));
      REQUIRE_FALSE(buffer->info().is_dmabuf);
    }
    REQUIRE(buffer->flush());
    const BufferInfo info = buffer->info();
    REQUIRE(info.size == 500000);
    REQUIRE(info.capacity == heap->capacity_for(500000));
    for (int piece = 0; piece < 5; ++piece) {
      Bytes bytes(100000);
      REQUIRE(buffer->read(piece * 100000, bytes));
      REQUIRE(all_equal(bytes, piece + 1));
    }
    if (heap->name() == "plain") return;
    REQUIRE(info.is_dmabuf);
    REQUIRE(info.exporter == heap->name());
    REQUIRE(info.dmabuf_inode != 0);
    REQUIRE(info.pid_fd >= 0);
  });
}

TEST_CASE("ftruncate and fallocate make the dma-buf at once") {
  Bench bench;
  for (const char* name : {"udmabuf", "system"}) {
    const auto heap = real_heap(bench, name);
    if (!heap) continue;
    INFO("heap: " << name);
    const auto truncated = bench.buffer(heap);
    REQUIRE(truncated->resize(10000));
    REQUIRE(truncated->info().is_dmabuf);
    REQUIRE(all_equal(through_the_dmabuf(*truncated), 0));
    const auto allocated = bench.buffer(heap);
    REQUIRE(allocated->allocate({0, 3 * kMiB}, true));
    REQUIRE(allocated->size() == 0);
    REQUIRE(allocated->info().is_dmabuf);
    REQUIRE(allocated->info().capacity >= 3 * kMiB);
    const uint64_t inode = allocated->info().dmabuf_inode;
    REQUIRE(allocated->write(0, filled(2 * kMiB, 5)));
    REQUIRE(allocated->flush());
    REQUIRE(allocated->info().dmabuf_inode == inode);
  }
}

TEST_CASE("a dma-buf carries the name of its file") {
  Bench bench;
  const auto heap = real_heap(bench, "udmabuf");
  if (!heap) return;
  const auto buffer = bench.buffer(heap);
  REQUIRE(buffer->resize(4096));
  const auto name_of = [&] {
    char link[128] = {};
    const std::string path = "/proc/self/fd/" + std::to_string(buffer->info().pid_fd);
    REQUIRE(::readlink(path.c_str(), link, sizeof link - 1) > 0);
    return std::string(link);
  };
  REQUIRE(name_of() == "/dmabuf:test");
  buffer->set_name("another name, longer than the kernel keeps");
  REQUIRE(name_of() == "/dmabuf:another name, longer than the k");
}

TEST_CASE("a thousand appends after a flush move the content once, not a thousand times") {
  Bench bench;
  for (const bool growable : {true, false}) {
    const auto heap = bench.plain(growable);
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->write(0, filled(kMiB, 1)));
    REQUIRE(buffer->flush());
    const unsigned before = heap->created;
    uint64_t at = 0;
    for (int i = 0; i < 1000; ++i) REQUIRE(buffer->append(filled(5000, 2), at));
    REQUIRE(buffer->flush());
    REQUIRE(heap->created - before <= 1);
    REQUIRE(buffer->size() == kMiB + 5000000);
    const Bytes all = content(*buffer);
    REQUIRE(all_equal(std::span(all).first(kMiB), 1));
    REQUIRE(all_equal(std::span(all).subspan(kMiB), 2));
  }
}

TEST_CASE("a load that says its end is allocated once, and is a dma-buf when the last piece is committed") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    const uint64_t end = 3 * kMiB + 77;
    for (uint64_t at = 0; at < end; at += kMiB) {
      REQUIRE_FALSE(buffer->info().is_dmabuf);
      const uint64_t length = std::min(kMiB, end - at);
      REQUIRE(load(*buffer, at, filled(length, 9), length, end));
      REQUIRE(buffer->info().capacity == heap->capacity_for(end));
    }
    REQUIRE(buffer->size() == end);
    REQUIRE(all_equal(content(*buffer), 9));
    if (heap->name() == "plain") return;
    const Bytes seen = through_the_dmabuf(*buffer);
    REQUIRE(all_equal(std::span(seen).first(end), 9));
    REQUIRE(all_equal(std::span(seen).subspan(end), 0));
  });
}

TEST_CASE("a load that ends early is trimmed when it is flushed") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(load(*buffer, 0, filled(kMiB, 9), 70000, 4 * kMiB));
    REQUIRE(buffer->flush());
    REQUIRE(buffer->size() == 70000);
    REQUIRE(buffer->info().capacity == heap->capacity_for(70000));
    REQUIRE(all_equal(content(*buffer), 9));
  });
}

TEST_CASE("a lease that is given up on an empty buffer leaves no memory held") {
  Bench bench(0, 0);
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    {
      const auto lease = buffer->lease({0, kMiB}, Access::Write, 8 * kMiB);
      REQUIRE(lease);
      REQUIRE(buffer->info().capacity >= 8 * kMiB);
    }
    REQUIRE(buffer->size() == 0);
    REQUIRE(buffer->info().capacity == 0);
    REQUIRE(bench.budget.used() == 0);
  });
}

TEST_CASE("shrinking much gives memory back, shrinking little keeps the dma-buf") {
  Bench bench(0, 0);
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->write(0, filled(kMiB, 3)));
    REQUIRE(buffer->flush());
    const uint64_t inode = buffer->info().dmabuf_inode;
    REQUIRE(buffer->resize(kMiB - 5000));
    REQUIRE(buffer->info().capacity == kMiB);
    REQUIRE(buffer->info().dmabuf_inode == inode);
    REQUIRE(buffer->resize(10000));
    REQUIRE(buffer->info().capacity == heap->capacity_for(10000));
    REQUIRE(bench.budget.used() == buffer->info().capacity);
    REQUIRE(buffer->resize(20000));
    const Bytes all = content(*buffer);
    REQUIRE(all_equal(std::span(all).first(10000), 3));
    REQUIRE(all_equal(std::span(all).subspan(10000), 0));
    REQUIRE(buffer->resize(0));
    REQUIRE(bench.budget.used() == 0);
  });
}

TEST_CASE("what is cut off reads zero when the size grows over it again") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    for (const bool flushed : {false, true}) {
      const auto buffer = bench.buffer(heap);
      REQUIRE(buffer->write(0, filled(3000, 7)));
      if (flushed) REQUIRE(buffer->flush());
      REQUIRE(buffer->resize(1000));
      REQUIRE(buffer->resize(3000));
      const Bytes all = content(*buffer);
      REQUIRE(all_equal(std::span(all).first(1000), 7));
      REQUIRE(all_equal(std::span(all).subspan(1000), 0));
    }
  });
}

TEST_CASE("what a transfer leaves behind the bytes it stored reads zero, in a dma-buf that exists already") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->resize(10));
    REQUIRE(load(*buffer, 10, filled(2000, 7), 5, 15));
    REQUIRE(buffer->size() == 15);
    if (buffer->info().is_dmabuf) {
      const Bytes seen = through_the_dmabuf(*buffer);
      REQUIRE(all_equal(std::span(seen).subspan(15), 0));
    }
    REQUIRE(buffer->resize(3000));
    const Bytes all = content(*buffer);
    REQUIRE(all_equal(std::span(all).subspan(15), 0));
  });
}

TEST_CASE("a dma-buf that others hold is not replaced: what fits reuses it, what does not is EBUSY") {
  Bench bench;
  on_each_dmabuf_heap(bench, [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->write(0, filled(100000, 3)));
    REQUIRE(buffer->flush());
    const auto held = buffer->hand_out(/*huge=*/true, nullptr);
    REQUIRE(held);
    REQUIRE(::fcntl(held->fd.get(), F_GETFD) == FD_CLOEXEC);
    const BufferInfo before = buffer->info();
    const auto same = [&] {
      return buffer->info().dmabuf_inode == before.dmabuf_inode && buffer->info().capacity == before.capacity;
    };

    REQUIRE(buffer->resize(0));
    REQUIRE(same());
    REQUIRE(load(*buffer, 0, filled(60000, 4), 60000, 60000));
    REQUIRE(buffer->flush());
    REQUIRE(same());
    REQUIRE(buffer->resize(before.capacity));
    REQUIRE(same());
    const Bytes all = content(*buffer);
    REQUIRE(all_equal(std::span(all).first(60000), 4));
    REQUIRE(all_equal(std::span(all).subspan(60000), 0));

    const auto longer = buffer->resize(before.capacity + 1);
    REQUIRE_FALSE(longer);
    REQUIRE(longer.error().code == EBUSY);
    REQUIRE(longer.error().message == "test: its dma-buf is in use elsewhere and holds only " +
                                          std::to_string(before.capacity) + " bytes");
    REQUIRE(buffer->allocate({0, before.capacity + 1}, true).error().code == EBUSY);
    REQUIRE(buffer->lease({0, 4096}, Access::Write, before.capacity + 1).error().code == EBUSY);
    REQUIRE(buffer->write(before.capacity, filled(1, 1)).error().code == EBUSY);
    const auto part = buffer->write(before.capacity - 10, filled(20, 8));
    REQUIRE(part);
    REQUIRE(*part == 10);
    REQUIRE(buffer->size() == before.capacity);
    REQUIRE(same());
  });
}

TEST_CASE("a buffer whose dma-buf nobody else holds may grow into a new dma-buf") {
  Bench bench;
  const auto heap = real_heap(bench, "udmabuf");
  if (!heap) return;
  const auto buffer = bench.buffer(heap);
  REQUIRE(buffer->write(0, filled(4096, 3)));
  REQUIRE(buffer->flush());
  const uint64_t inode = buffer->info().dmabuf_inode;
  REQUIRE(buffer->resize(50000));
  REQUIRE(buffer->info().dmabuf_inode != inode);
  REQUIRE(buffer->info().is_dmabuf);
}

TEST_CASE("what others wrote past a handed-out dma-buf's size reads zero when the size grows over it") {
  Bench bench;
  for (const char* name : {"udmabuf", "system"}) {
    const auto heap = real_heap(bench, name);
    if (!heap) continue;
    INFO("heap: " << name);
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->resize(4 * 4096));
    const auto held = buffer->hand_out(/*huge=*/true, nullptr);
    REQUIRE(held);
    REQUIRE(buffer->resize(100));
    const BufferInfo info = buffer->info();
    const auto others = Mapping::of_file(info.pid_fd, 0, info.capacity, PROT_READ | PROT_WRITE);
    REQUIRE(others);
    std::ranges::fill(others->bytes().subspan(100), std::byte{0x77});
    REQUIRE(buffer->resize(6000));
    REQUIRE(buffer->write(9000, filled(10, 1)));
    REQUIRE(load(*buffer, 12000, filled(10, 1), 10, 12010));
    REQUIRE_FALSE(contains(content(*buffer), 0x77));
  }
}

TEST_CASE("a refused publication is reported and loses nothing") {
  Bench bench;
  const auto heap = bench.plain(true);
  const auto buffer = bench.buffer(heap);
  heap->publish_fails = true;
  SECTION("by flush") {
    REQUIRE(buffer->write(0, filled(50000, 6)));
    REQUIRE(buffer->flush().error().code == EIO);
  }
  SECTION("by the last commit of a load") {
    const auto committed = load(*buffer, 0, filled(50000, 6), 50000, 50000);
    REQUIRE_FALSE(committed);
    REQUIRE(committed.error().code == EIO);
  }
  SECTION("by ftruncate, which then changes nothing") {
    REQUIRE(buffer->write(0, filled(50000, 6)));
    REQUIRE(buffer->resize(60000).error().code == EIO);
  }
  REQUIRE(buffer->size() == 50000);
  REQUIRE(all_equal(content(*buffer), 6));
  heap->publish_fails = false;
  REQUIRE(buffer->flush());
  REQUIRE(all_equal(content(*buffer), 6));
  REQUIRE(buffer->info().capacity == heap->capacity_for(50000));
}

TEST_CASE("a refusal of memory leaves the content as it was, and what fitted is counted") {
  Bench bench(2 * kMiB, 0);
  const auto test = [&](const std::shared_ptr<Heap>& heap) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->write(0, filled(600000, 6)));
    REQUIRE(buffer->flush());
    const auto refused = buffer->resize(3 * kMiB);
    REQUIRE_FALSE(refused);
    REQUIRE(refused.error().code == ENOSPC);
    REQUIRE(buffer->lease({600000, 1}, Access::Write, 3 * kMiB).error().code == ENOSPC);
    REQUIRE(buffer->allocate({0, 3 * kMiB}, false).error().code == ENOSPC);
    REQUIRE(buffer->size() == 600000);
    REQUIRE(all_equal(content(*buffer), 6));
    uint64_t at = 0;
    uint64_t stored = 600000;
    for (;;) {
      const auto written = buffer->append(filled(100000, 6), at);
      if (!written) {
        REQUIRE(written.error().code == ENOSPC);
        break;
      }
      REQUIRE(at == stored);
      stored += *written;
    }
    REQUIRE(buffer->size() == stored);
    REQUIRE(stored > 600000);
    REQUIRE(bench.budget.used() <= bench.budget.limit());
    REQUIRE(all_equal(content(*buffer), 6));
  };
  on_each_dmabuf_heap(bench, test);
  test(real_heap(bench, "memfd"));
  REQUIRE(bench.budget.used() == 0);
}

TEST_CASE("no size overflows") {
  Bench bench;
  const uint64_t huge = ~uint64_t{0} - 4096;
  for (const auto& heap : {std::static_pointer_cast<Heap>(bench.plain(true)), real_heap(bench, "memfd")}) {
    const auto buffer = bench.buffer(heap);
    REQUIRE(buffer->resize(huge).error().code == EFBIG);
    REQUIRE(buffer->write(huge, filled(8192, 1)).error().code == EFBIG);
    REQUIRE(buffer->allocate({huge, 8192}, false).error().code == EFBIG);
    REQUIRE(buffer->lease({huge, 8192}, Access::Write, 0).error().code == EFBIG);
    Bytes bytes(10);
    REQUIRE(*buffer->read(huge, bytes) == 0);
    REQUIRE(buffer->size() == 0);
  }
}
