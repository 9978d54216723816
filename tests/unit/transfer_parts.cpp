// SPDX-License-Identifier: MIT
/// The small parts of the engine: counters, piece size, chunks, bounce pool, crew, I/O queue, page cache,
/// file ends.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <thread>

#include "dmabuffs/base/range.h"
#include "dmabuffs/transfer/bounce_pool.h"
#include "dmabuffs/transfer/crew.h"
#include "dmabuffs/transfer/file_systems.h"
#include "dmabuffs/transfer/page_cache.h"
#include "dmabuffs/transfer/planner.h"
#include "dmabuffs/transfer/transfer.h"
#include "dmabuffs/transfer/uring.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("counters: an operation is counted once per path that moved bytes by it") {
  Counters counters;
  PathBytes bytes{};
  bytes[static_cast<size_t>(Path::PinnedDirect)] = 100;
  bytes[static_cast<size_t>(Path::BounceDirect)] = 7;
  counters.add(bytes, {{Path::BounceDirect, "tail", 7}});
  counters.add(bytes, {{Path::BounceDirect, "tail", 7}});
  const auto all = counters.snapshot();
  CHECK(all.paths[static_cast<size_t>(Path::PinnedDirect)].operations == 2);
  CHECK(all.paths[static_cast<size_t>(Path::PinnedDirect)].bytes == 200);
  CHECK(all.paths[static_cast<size_t>(Path::Buffered)].operations == 0);
  REQUIRE(all.reasons.size() == 1);
  CHECK(all.reasons[0].bytes == 14);
}

TEST_CASE("counters: kinds of reasons and refusals kept are bounded") {
  Counters counters;
  for (int kind = 0; kind < 100; ++kind) {
    counters.add({}, {{Path::Buffered, std::to_string(kind), 1}});
    counters.refuse(std::to_string(kind));
  }
  const auto all = counters.snapshot();
  CHECK(all.reasons.size() == 32);
  REQUIRE(all.refused.size() == 16);
  CHECK(all.refused.front().message == "84");
  CHECK(all.refused.back().message == "99");
}

TEST_CASE("counters: a message that comes again is counted, not kept twice") {
  Counters counters;
  for (const char* message : {"one", "two", "one"}) counters.refuse(message);
  const auto all = counters.snapshot();
  REQUIRE(all.refused.size() == 2);
  CHECK(all.refused[0].message == "two");
  CHECK(all.refused[1].message == "one");
  CHECK(all.refused[1].times == 2);
  CHECK(all.refused[1].last >= all.refused[0].last);
}

TEST_CASE("piece size: it starts at 64 MiB and follows the rate to about a second, at most 256 MiB") {
  PieceSize piece;
  CHECK(piece.next() == 64 * kMiB);
  piece.took(64 * kMiB, 0.01);
  CHECK(piece.next() == 256 * kMiB);
  piece.took(256 * kMiB, 8.0);
  CHECK(piece.next() == 32 * kMiB);
  piece.took(1000, 0.001);  // the last piece of a file
  CHECK(piece.next() == 32 * kMiB);
  piece.took(32 * kMiB, 1000.0);
  CHECK(piece.next() == 2 * kMiB);
}

TEST_CASE("chunks: what counts is the prefix before the lowest failure") {
  Chunks chunks(10 * kMiB, 0, kMiB, nullptr);
  for (int taken = 0; taken < 5; ++taken) REQUIRE(chunks.take());
  chunks.stop(3 * kMiB, Error{EIO, "later"});
  chunks.stop(1 * kMiB + 17, Error{ENOSPC, "earlier"});
  chunks.stop(2 * kMiB, Error{EIO, "later"});
  CHECK(!chunks.take());
  const Moved moved = chunks.moved();
  CHECK(moved.bytes == 1 * kMiB + 17);
  REQUIRE(moved.error);
  CHECK(moved.error->code == ENOSPC);
}

TEST_CASE("chunks: they are cut at multiples of their size from the phase on") {
  Chunks chunks(3 * kMiB, kMiB - 100, kMiB, nullptr);
  CHECK(chunks.take()->length == 100);
  CHECK(chunks.take()->offset == 100);
  CHECK(chunks.take()->length == kMiB);
  CHECK(chunks.take()->length == kMiB - 100);
  CHECK(!chunks.take());
}

TEST_CASE("chunks: after a cancel no more are handed out and what was taken counts") {
  CancelToken cancel;
  Chunks chunks(10 * kMiB, 0, kMiB, &cancel);
  REQUIRE(chunks.take());
  cancel.cancel();
  CHECK(!chunks.take());
  CHECK(chunks.moved().bytes == kMiB);
  REQUIRE(chunks.moved().error);
  CHECK(chunks.moved().error->code == EINTR);
}

TEST_CASE("bounce pool: it never lends more than it has, whoever asks at once") {
  BouncePool pool(3 * BouncePool::kUnit);
  std::atomic<size_t> lent{0}, most{0}, waits{0};
  std::vector<std::thread> borrowers;
  for (int borrower = 0; borrower < 8; ++borrower) {
    borrowers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        auto loan = pool.borrow(2, nullptr);
        if (!loan || loan->count() == 0) continue;
        const size_t now = lent += loan->count();
        for (size_t seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        loan->unit(0)[0] = std::byte{1};
        ++waits;
        lent -= loan->count();
      }
    });
  }
  for (auto& borrower : borrowers) borrower.join();
  CHECK(waits == 8 * 200);
  CHECK(most <= 3);
  CHECK(pool.peak() <= 3);
}

TEST_CASE("bounce pool: units are aligned and helpers get only what nobody waits for") {
  BouncePool pool(4 * BouncePool::kUnit);
  CHECK(pool.try_borrow(4).count() == 0);  // nothing is allocated before a transfer needs it
  auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  REQUIRE(loan->count() == 1);
  CHECK(reinterpret_cast<uintptr_t>(loan->unit(0).data()) % BouncePool::kUnit == 0);
  CHECK(pool.peak() == 1);
  CHECK(pool.try_borrow(4).count() == 1);
  CHECK(pool.peak() == 2);
}

TEST_CASE("bounce pool: transfers that hang leave units for those of others, and for single blocks") {
  BouncePool pool(16 * BouncePool::kUnit);
  const auto leader = pool.borrow(4, nullptr);
  REQUIRE(leader);
  const auto helper = pool.try_borrow(4);
  CHECK(helper.count() == 4);
  CHECK(pool.try_borrow(4).count() == 0);
  const auto second = pool.borrow(4, nullptr), third = pool.borrow(4, nullptr);
  REQUIRE((second && third));
  CHECK(second->count() == 4);
  CHECK(third->count() == 2);
  CancelToken cancel;
  std::thread waiting([&] { CHECK_FALSE(pool.borrow(4, &cancel)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(pool.borrow(1, nullptr)->count() == 1);
  cancel.cancel();
  waiting.join();
}

TEST_CASE("pinned: memory aligned less than the file is cut where the file is aligned") {
  const TemporaryDirectory directory("/var/tmp");
  const TestFile file(directory.path(), "file");
  const auto end = file.end();
  auto mapping = Mapping::anonymous(8 * kMiB);
  REQUIRE(mapping);
  const uint64_t unit = direct_unit(end->alignment().reads);
  for (const uint64_t shift : {uint64_t{0}, uint64_t{512}, unit, unit + 512}) {
    const FilePart part{*end, -1, 0, mapping->bytes().subspan(shift, 6 * kMiB), false, nullptr};
    Chunks chunks(part.memory.size(), pinned_phase(part, Access::Read), kHugePage, nullptr);
    while (const auto chunk = chunks.take()) CHECK(chunk->offset % unit == 0);
  }
}

TEST_CASE("bounce pool: a cancel ends the wait, and who comes after is served") {
  BouncePool pool(BouncePool::kUnit);
  auto held = std::make_unique<BouncePool::Loan>(std::move(*pool.borrow(1, nullptr)));
  CancelToken cancel;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel.cancel();
  });
  const auto waited = pool.borrow(1, &cancel);
  canceller.join();
  REQUIRE(!waited);
  CHECK(waited.error().code == EINTR);
  held.reset();
  CHECK(pool.borrow(1, nullptr)->count() == 1);
}

TEST_CASE("crew: the caller always works and helpers have left when run returns") {
  Crew crew(3);
  std::atomic<int> inside{0}, leaders{0};
  for (int round = 0; round < 100; ++round) {
    crew.run(4, [&](bool leader) {
      ++inside;
      if (leader) ++leaders;
      --inside;
    });
    REQUIRE(inside == 0);
  }
  CHECK(leaders == 100);
}

TEST_CASE("crew: several callers at once all get on") {
  Crew crew(1);
  std::atomic<int> done{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) crew.run(2, [&](bool leader) { done += leader ? 1 : 0; });
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(done == 300);
}

TEST_CASE("I/O queue: it moves bytes with io_uring and, where that is forbidden, without") {
  const DiskDirectory disk;
  const Bytes bytes = pattern(kMiB, 1);
  const TestFile file(disk.path(), "file");
  std::unique_ptr<IoQueue> queue;
  SECTION("with io_uring if the machine has it") {
    queue = std::make_unique<IoQueue>(4);
  }
  SECTION("without, since no descriptor is to be had for the ring") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{0, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    queue = std::make_unique<IoQueue>(4);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(!queue->asynchronous());
  }
  for (uint64_t part = 0; part < 4; ++part) {
    queue->write(file.fd(), std::span(bytes).subspan(part * 256 * kKiB, 256 * kKiB), part * 256 * kKiB, part);
  }
  uint64_t tags = 0;
  while (queue->in_flight() > 0) {
    const auto done = queue->wait();
    CHECK(done.result == 256 * kKiB);
    tags |= uint64_t{1} << done.tag;
  }
  CHECK(tags == 15);
  CHECK(file.content() == bytes);
  Bytes read(kMiB);
  queue->read(file.fd(), read, 0, 9);
  CHECK(queue->wait().result == kMiB);
  CHECK(read == bytes);
  queue->read(-1, read, 0, 9);
  CHECK(queue->wait().result == -EBADF);
}

/// From now on the kernel refuses this thread's requests to an io_uring; it may still wait for what runs.
bool refuse_submits() {
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_enter, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), const_cast<sock_filter*>(program)};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

TEST_CASE("I/O queue: what io_uring refused is done without it, and does not run later into old memory") {
  const DiskDirectory disk;
  const Bytes bytes = pattern(2 * kMiB, 8);
  const TestFile file(disk.path(), "file", bytes);
  IoQueue queue(4);
  if (!queue.asynchronous()) return;  // this machine has none
  Bytes before(kMiB), old(kMiB), later(kMiB);
  bool filtered = false;
  queue.read(file.fd(), before, kMiB, 1);
  std::thread unlucky([&] {
    filtered = refuse_submits();
    queue.read(file.fd(), old, 0, 2);
  });
  unlucky.join();
  REQUIRE(filtered);
  uint64_t tags = 0;
  for (int count = 0; count < 2; ++count) {
    const auto done = queue.wait();
    CHECK(done.result == kMiB);
    tags |= uint64_t{1} << done.tag;
  }
  CHECK(tags == 6);
  CHECK(old == part_of(bytes, 0, kMiB));
  CHECK(before == part_of(bytes, kMiB, kMiB));
  // It is somebody else's memory from now on.
  old.assign(kMiB, std::byte{0});
  queue.read(file.fd(), later, 0, 3);
  const auto done = queue.wait();
  CHECK(done.tag == 3);
  CHECK(done.result == kMiB);
  CHECK(later == part_of(bytes, 0, kMiB));
  CHECK(queue.in_flight() == 0);
  CHECK(old == Bytes(kMiB));
}

TEST_CASE("page cache: a read without trace leaves what was cached cached, and nothing else") {
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(4 * kMiB, 2));
  const Range all{0, 4 * kMiB};
  Bytes bytes(5000);
  file.make_cold();
  REQUIRE(cached_bytes(file.fd(), all) == 0u);
  for (const uint64_t offset : {uint64_t{0}, uint64_t{70001}, 2 * kMiB - 1, 4 * kMiB - 5000}) {
    REQUIRE(read_without_trace(file.fd(), offset, bytes) == bytes.size());
    CHECK(cached_bytes(file.fd(), all) == 0u);
  }
  REQUIRE(file.content().size() == 4 * kMiB);
  REQUIRE(cached_bytes(file.fd(), all) == 4 * kMiB);
  REQUIRE(read_without_trace(file.fd(), 70001, bytes) == bytes.size());
  CHECK(cached_bytes(file.fd(), all) == 4 * kMiB);
}

TEST_CASE("file end: tmpfs is not direct although it accepts O_DIRECT, and says why") {
  const UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  const FileEnd file(fd.get(), UniqueFd(), "frame", true);
  CHECK(file.direct_fd() == -1);
  CHECK(file.not_direct_reason() == "tmpfs does not support direct I/O: its files are memory");
}

TEST_CASE("file end: a disk file is opened for direct I/O with the same rights") {
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(8192, 3));
  const UniqueFd reader(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
  const FileEnd end(reader.get(), UniqueFd(), "file", true);
  REQUIRE(end.direct_fd() >= 0);
  CHECK(end.not_direct_reason().empty());
  CHECK((::fcntl(end.direct_fd(), F_GETFL) & (O_ACCMODE | O_DIRECT)) == (O_RDONLY | O_DIRECT));
  CHECK(*end.size() == 8192);
  const FileEnd closed(reader.get(), UniqueFd(), "file", false);
  CHECK(closed.direct_fd() == -1);
  CHECK(closed.not_direct_reason() == "the file was not opened for direct I/O");
}

TEST_CASE("file end: a pipe is no end of a transfer") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]), writer(ends[1]);
  const auto size = FileEnd(reader.get(), UniqueFd(), "pipe", true).size();
  REQUIRE(!size);
  CHECK(size.error().code == EIO);
  CHECK(size.error().message == "pipe: not a regular file or block device");
}

TEST_CASE(
    "cache choice: only a file that is cached, and where the cache is clearly faster, is read from there") {
  CHECK(cache_pays(1.0, 4.0));
  CHECK(!cache_pays(1.0, 1.1));
  CHECK(!cache_pays(4.0, 1.0));
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(8 * kMiB, 6));
  file.make_cold();
  const auto end = file.end();
  Workshop shop{Crew(1), BouncePool(4 * kMiB), {}};
  CacheChoice choice;
  CHECK(!choice.cache_is_faster(shop, *end, {0, 8 * kMiB}, nullptr));
  CHECK(cached_bytes(file.fd(), {0, 8 * kMiB}) == 0u);
  REQUIRE(file.content().size() == 8 * kMiB);
  const bool faster = choice.cache_is_faster(shop, *end, {0, 8 * kMiB}, nullptr);
  CHECK(choice.cache_is_faster(shop, *end, {kMiB, 4096}, nullptr) == faster);  // remembered
  file.make_cold();
  CHECK(!choice.cache_is_faster(shop, *end, {0, 8 * kMiB}, nullptr));
}

TEST_CASE("trust: a file system whose direct reads bring other bytes is found out once and remembered") {
  const DiskDirectory disk;
  const TestFile honest(disk.path(), "honest", pattern(8192, 4)),
      other(disk.path(), "other", pattern(8192, 5));
  honest.make_cold();
  other.make_cold();
  const FileEnd good(honest.fd(), UniqueFd(), "good", true);
  // A direct descriptor of another file is what a file system that fills in the wrong bytes looks like.
  const FileEnd bad(honest.fd(), UniqueFd(::open(other.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "bad",
                    true);
  REQUIRE(good.direct_fd() >= 0);
  REQUIRE(bad.direct_fd() >= 0);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  const auto block = loan->unit(0).first(4096);

  DirectTrust trust;
  CHECK(!trust.verdict(good));
  CHECK(trust.check(good, 4096, block).empty());
  CHECK(trust.verdict(good) == "");
  DirectTrust doubtful;
  CHECK(!doubtful.check(bad, 4096, block).empty());
  CHECK(!doubtful.check(good, 4096, block).empty());
  CHECK(doubtful.verdict(good) != "");
}

TEST_CASE("trust: a direct read that leaves zeros in place of zeros is not taken for a proof") {
  const DiskDirectory disk;
  const TestFile zeros(disk.path(), "zeros", Bytes(8192)), empty(disk.path(), "empty");
  const FileEnd silent(zeros.fd(), UniqueFd(::open(empty.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "f",
                       true);
  const FileEnd good(zeros.fd(), UniqueFd(), "good", true);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  const auto block = loan->unit(0).first(4096);
  CHECK(!DirectTrust().check(silent, 0, block).empty());
  CHECK(DirectTrust().check(good, 0, block).empty());
}

TEST_CASE("trust: a file system is asked again after a while, whatever it was taken for") {
  const DiskDirectory disk;
  const TestFile honest(disk.path(), "honest", pattern(8192, 4)),
      other(disk.path(), "other", pattern(8192, 5));
  const FileEnd good(honest.fd(), UniqueFd(), "good", true);
  const FileEnd bad(honest.fd(), UniqueFd(::open(other.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "bad",
                    true);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  const auto block = loan->unit(0).first(4096);
  DirectTrust trust(std::chrono::milliseconds(0));
  CHECK(!trust.check(bad, 0, block).empty());
  CHECK(!trust.verdict(bad));
  CHECK(trust.check(good, 0, block).empty());
  CHECK(!trust.check(bad, 0, block).empty());
}

TEST_CASE("trust: a difference in a file that changes meanwhile is not held against its file system") {
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(4096, 4)), other(disk.path(), "other", pattern(4096, 5));
  const FileEnd end(file.fd(), UniqueFd(::open(other.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "file",
                    true);
  REQUIRE(end.direct_fd() >= 0);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (long round = 0; !over; ++round) {
      const timespec times[2] = {{round, 0}, {round, 0}};
      (void)::futimens(file.fd(), times);
    }
  });
  constexpr int kRounds = 10;
  int marked = 0;
  for (int round = 0; round < kRounds; ++round) {
    DirectTrust trust;
    (void)trust.check(end, 0, loan->unit(0).first(4096));
    marked += trust.verdict(end).has_value();
  }
  over = true;
  writer.join();
  CHECK(marked < kRounds);  // the writer may have been out of the processor for a whole round
}

TEST_CASE("trust: a direct read that brings nothing is not believed while its file is being rewritten") {
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(4096, 4)), empty(disk.path(), "empty");
  const FileEnd silent(file.fd(), UniqueFd(::open(empty.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)), "f",
                       true);
  BouncePool pool(BouncePool::kUnit);
  const auto loan = pool.borrow(1, nullptr);
  REQUIRE(loan);
  std::atomic<bool> over{false};
  std::thread writer([&] {
    Bytes bytes(4096);
    for (uint64_t round = 0; !over; ++round) {
      std::memcpy(bytes.data(), &round, sizeof round);
      (void)::pwrite(file.fd(), bytes.data(), bytes.size(), 0);
    }
  });
  for (int round = 0; round < 10; ++round)
    CHECK(!DirectTrust().check(silent, 0, loan->unit(0).first(4096)).empty());
  over = true;
  writer.join();
}

TEST_CASE("what is known of file systems is of a bounded number, the latest, and for a while") {
  ByDevice<int> known(std::chrono::hours(1));
  for (uint64_t device = 0; device < 1000; ++device) known.learn(device, 1);
  for (int again = 0; again < 1000; ++again) known.learn(999, again);
  CHECK(!known.find(1000 - ByDevice<int>::kMost - 1));
  CHECK(known.find(1000 - ByDevice<int>::kMost) == 1);
  CHECK(known.find(999) == 999);
  ByDevice<int> forgetful(std::chrono::milliseconds(0));
  forgetful.learn(1, 1);
  CHECK(!forgetful.find(1));
}

TEST_CASE("alignment: reads have one of their own where the kernel tells it") {
  struct statx told {};
  CHECK(direct_alignment(told)->reads == 4096);  // it tells nothing
  told.stx_mask = STATX_DIOALIGN;
  CHECK(!direct_alignment(told));
  told.stx_dio_mem_align = 512;
  told.stx_dio_offset_align = 16384;
  CHECK(direct_alignment(told)->memory == 512);
  CHECK(direct_alignment(told)->offsets(Access::Read) == 16384);
  CHECK(direct_alignment(told)->offsets(Access::Write) == 16384);
  // As Linux 6.14 lays it out: stx_dio_read_offset_align, STATX_DIO_READ_ALIGN.
  const uint32_t reads = 512;
  std::memcpy(reinterpret_cast<char*>(&told) + 0xb4, &reads, sizeof reads);
  CHECK(direct_alignment(told)->reads == 16384);  // not told
  told.stx_mask |= 0x20000;
  CHECK(direct_alignment(told)->offsets(Access::Read) == 512);
  CHECK(direct_alignment(told)->offsets(Access::Write) == 16384);
  std::memset(reinterpret_cast<char*>(&told) + 0xb4, 0, sizeof reads);
  CHECK(direct_alignment(told)->reads == 16384);  // told to be the same
}
