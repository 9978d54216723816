// SPDX-License-Identifier: MIT
/// A buffer against a vector of bytes: whatever is done to both, both must hold the same.
#include <algorithm>

#include "buffer_support.h"

using namespace buffer_test;

namespace {

class Run {
 public:
  Run(std::shared_ptr<Buffer> buffer, unsigned seed) : buffer_(std::move(buffer)), random_(seed) {}

  void steps(int count) {
    for (int step = 0; step < count; ++step) {
      operation();
      REQUIRE(buffer_->size() == model_.size());
      check_part();
      if (step % 25 == 24) REQUIRE(content(*buffer_) == model_);
    }
    REQUIRE(buffer_->flush());
    REQUIRE(content(*buffer_) == model_);
    if (buffer_->info().is_dmabuf) check_dmabuf();
  }

 private:
  uint64_t pick(uint64_t bound) { return std::uniform_int_distribution<uint64_t>(0, bound)(random_); }
  uint64_t pick_length() {
    if (pick(40) == 0) return 2500000;  // more than a huge page
    const uint64_t lengths[] = {1, 100, 4095, 4096, 4097, 20000, 65536, 300000};
    return lengths[pick(7)];
  }
  uint64_t pick_offset() {
    const uint64_t offset = pick(model_.size() + (pick(9) == 0 ? 200000 : 0));
    return pick(3) == 0 ? round_down(offset, kPage) : offset;
  }
  Bytes data(uint64_t length) { return random_bytes(length, random_); }
  bool refused(const Error& error) const { return pinned_ && error.code == EBUSY; }

  void store(uint64_t offset, const Bytes& bytes, size_t stored) {
    if (stored == 0) return;
    if (model_.size() < offset + stored) model_.resize(offset + stored);
    std::copy_n(bytes.begin(), stored, model_.begin() + static_cast<ptrdiff_t>(offset));
  }

  void operation() {
    switch (pick(11)) {
      case 0:
      case 1:
      case 2:
        return write();
      case 3:
        return append();
      case 4:
        return resize();
      case 5:
        return zero();
      case 6:
        return allocate();
      case 7:
        REQUIRE(buffer_->flush());
        return;
      case 8:
      case 9:
        return lease();
      case 10:
        buffer_->idle();
        return;
      default:
        if (pick(15) == 0) pin();
        return;
    }
  }
  void pin() {
    auto out = buffer_->hand_out(/*huge=*/true, nullptr);
    if (!out) return;
    pinned_ = true;
    held_.push_back(std::move(out->fd));
  }
  void write() {
    const uint64_t offset = pick_offset();
    const Bytes bytes = data(pick_length());
    const auto written = buffer_->write(offset, bytes);
    if (written) {
      REQUIRE((*written == bytes.size() || pinned_));
      store(offset, bytes, *written);
    } else {
      REQUIRE(refused(written.error()));
    }
  }
  void append() {
    const Bytes bytes = data(pick_length());
    uint64_t at = 0;
    const auto written = buffer_->append(bytes, at);
    if (!written) REQUIRE(refused(written.error()));
    if (!written) return;
    REQUIRE(at == model_.size());
    store(at, bytes, *written);
  }
  void resize() {
    uint64_t size = pick(model_.size() + 100000);
    if (pick(5) == 0) size = 0;
    if (pick(1) == 0)
      size = model_.size() - std::min<uint64_t>(model_.size(), pick(3000)) + pick(1500);  // near by
    const auto resized = buffer_->resize(size);
    if (resized)
      model_.resize(size);
    else
      REQUIRE(refused(resized.error()));
  }
  void zero() {
    const uint64_t offset = pick_offset();
    const uint64_t length = pick_length();
    REQUIRE(buffer_->zero({offset, length}));
    if (offset >= model_.size()) return;
    const uint64_t end = std::min<uint64_t>(offset + length, model_.size());
    std::fill(model_.begin() + static_cast<ptrdiff_t>(offset), model_.begin() + static_cast<ptrdiff_t>(end),
              std::byte{0});
  }
  void allocate() {
    const Range range{pick_offset(), pick_length()};
    const bool keep = pick(1) == 0;
    const auto allocated = buffer_->allocate(range, keep);
    if (!allocated)
      REQUIRE(refused(allocated.error()));
    else if (!keep && range.end() > model_.size())
      model_.resize(range.end());
  }
  void lease() {
    const uint64_t offset = pick_offset();
    const Bytes bytes = data(pick_length());
    const uint64_t end = offset + bytes.size();
    const uint64_t expected = pick(1) == 0 ? end : pick(2) == 0 ? 0 : end + pick(100000);
    const uint64_t done = pick(2) == 0 ? pick(bytes.size()) : bytes.size();
    auto lease = buffer_->lease({offset, bytes.size()}, Access::Write, expected);
    if (!lease) {
      REQUIRE(refused(lease.error()));
      return;
    }
    REQUIRE((*lease)->populate((*lease)->bytes()));
    // Below the size the window stays what it is behind `done`: there a transfer that stops leaves its
    // traces.
    std::copy_n(bytes.begin(), done, (*lease)->bytes().begin());
    const uint64_t scribble = std::max<uint64_t>(offset + done, model_.size());
    if (scribble < end) std::ranges::fill((*lease)->bytes().subspan(scribble - offset), std::byte{0xee});
    if (pick(7) == 0) {  // given up: what was written below the size is there, but nothing counts
      const uint64_t inside = model_.size() > offset ? std::min<uint64_t>(done, model_.size() - offset) : 0;
      std::ranges::fill((*lease)->bytes().subspan(inside, done - inside), std::byte{0xee});
      lease->reset();
      store(offset, bytes, inside);
      return;
    }
    REQUIRE((*lease)->commit(done));
    store(offset, bytes, done);
  }

  void check_part() {
    const uint64_t offset = pick(model_.size() + 10);
    Bytes got(pick(50000) + 1);
    const auto count = buffer_->read(offset, got);
    REQUIRE(count);
    const uint64_t there = offset < model_.size() ? model_.size() - offset : 0;
    REQUIRE(*count == std::min<uint64_t>(there, got.size()));
    REQUIRE(std::equal(got.begin(), got.begin() + static_cast<ptrdiff_t>(*count),
                       model_.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(offset, model_.size()))));
  }
  void check_dmabuf() {
    Bytes expected = model_;
    expected.resize(buffer_->info().capacity);
    REQUIRE(through_the_dmabuf(*buffer_) == expected);
  }

  std::shared_ptr<Buffer> buffer_;
  std::mt19937 random_;
  Bytes model_;
  bool pinned_ = false;
  std::vector<UniqueFd> held_;
};

void run_on(Bench& bench, const std::shared_ptr<Heap>& heap) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    Run(bench.buffer(heap), seed).steps(150);
  }
}

}  // namespace

TEST_CASE("a memfd buffer holds what a vector of bytes holds after any operations") {
  Bench bench;
  run_on(bench, real_heap(bench, "memfd"));
}

TEST_CASE("a buffer of a growable heap holds what a vector of bytes holds after any operations") {
  Bench bench;
  run_on(bench, bench.plain(true));
}

TEST_CASE(
    "a buffer of a heap that allocates at once holds what a vector of bytes holds after any operations") {
  Bench bench;
  run_on(bench, bench.plain(false));
}

TEST_CASE("a udmabuf holds what a vector of bytes holds after any operations") {
  Bench bench;
  if (const auto heap = real_heap(bench, "udmabuf")) run_on(bench, heap);
}

TEST_CASE("a dma-heap's buffer holds what a vector of bytes holds after any operations") {
  Bench bench;
  if (const auto heap = real_heap(bench, "system")) run_on(bench, heap);
}
