// SPDX-License-Identifier: MIT
// Random copies in all directions, reads, writes and truncations, on every heap, beside a model in memory
// that says what each file must hold.
#include <cstdint>
#include <random>

#include "mount_support.h"

using namespace mount_support;

namespace {

struct Slot {
  std::string name, path;
  UniqueFd fd;
  std::string model;
};

class Model {
 public:
  Model(const Mount& mount, const std::string& heap, const std::vector<std::string>& heaps, uint64_t seed)
      : random_(seed) {
    for (const char* name : {"a", "b"}) add(heap + "/" + name, mount.heap(heap) + name);
    for (const std::string& other : heaps)
      if (other != heap) add(other + "/c", mount.heap(other) + "c");
    for (const char* name : {"f", "g"}) add(std::string("files/") + name, mount.files + name);
  }
  ~Model() {
    for (const Slot& slot : slots_) ::unlink(slot.path.c_str());
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  void step() {
    const uint64_t kind = below(10);
    if (kind < 5) copy();
    if (kind == 5 || kind == 6) write();
    if (kind == 7) read();
    if (kind == 8) truncate();
    if (kind == 9) reopen();
  }
  void compare_all() {
    for (Slot& slot : slots_) compare(slot);
  }

 private:
  uint64_t below(uint64_t limit) { return std::uniform_int_distribution<uint64_t>(0, limit - 1)(random_); }
  Slot& any() { return slots_[below(slots_.size())]; }

  /// On, before and behind the edges of pages and blocks, anywhere, and about the size of a huge page.
  uint64_t offset() {
    switch (below(8)) {
      case 0:
        return 0;
      case 1:
      case 2:
        return below(100) * 4096;
      case 3:
        return below(100) * 4096 + below(3);
      case 4:
        return (below(100) + 1) * 4096 - 1 - below(511);
      case 5:
        return below(20) == 0 ? (2 << 20) - 1 + below(3) : below(5000);
      default:
        return below(400'000);
    }
  }
  uint64_t length() {
    switch (below(8)) {
      case 0:
        return below(3);
      case 1:
      case 2:
        return (below(64) + 1) * 4096;
      case 3:
        return below(64) * 4096 + 4095 + below(3);
      case 4:
        return uint64_t{1} << 40;
      default:
        return below(300'000);
    }
  }
  std::string bytes(uint64_t count) {
    std::string text(count, '\0');
    for (size_t at = 0; at + 8 <= text.size(); at += 8) {
      const uint64_t word = random_() | 1;
      std::memcpy(text.data() + at, &word, 8);
    }
    return text;
  }

  void add(const std::string& name, const std::string& path) {
    slots_.push_back({name, path, open_file(path, O_RDWR | O_CREAT | O_TRUNC), {}});
  }
  static void store(std::string& model, uint64_t at, const std::string& text) {
    if (text.empty()) return;
    if (model.size() < at + text.size()) model.resize(at + text.size(), '\0');
    model.replace(at, text.size(), text);
  }

  void copy() {
    Slot &from = any(), &to = any();
    const uint64_t from_offset = offset(), to_offset = offset();
    uint64_t wanted = length();
    const uint64_t left = from.model.size() > from_offset ? from.model.size() - from_offset : 0;
    const uint64_t expected = std::min(left, wanted);
    if (&from == &to) {
      // The ranges may not overlap (EINVAL), and a longer request would go on into what the copy itself
      // appended.
      if (from_offset < to_offset + expected && to_offset < from_offset + expected) return;
      wanted = expected;
    }
    INFO("copy " << wanted << " bytes of " << from.name << "@" << from_offset << " to " << to.name << "@"
                 << to_offset);
    REQUIRE(copy_range(from.fd, from_offset, to.fd, to_offset, wanted) == expected);
    if (expected > 0) store(to.model, to_offset, from.model.substr(from_offset, expected));
    compare(to);
    compare(from);
  }
  void write() {
    Slot& slot = any();
    const uint64_t at = offset();
    const std::string text = bytes(below(4) == 0 ? below(100) : std::min<uint64_t>(length(), 300'000));
    INFO("write " << text.size() << " bytes to " << slot.name << "@" << at);
    write_at(slot.fd, at, text);
    store(slot.model, at, text);
    compare(slot);
  }
  void read() {
    Slot& slot = any();
    const uint64_t at = offset(), count = std::min<uint64_t>(length(), 1 << 20);
    INFO("read " << count << " bytes of " << slot.name << "@" << at);
    const bool same =
        read_at(slot.fd, at, count) == (at < slot.model.size() ? slot.model.substr(at, count) : "");
    REQUIRE(same);
  }
  void truncate() {
    Slot& slot = any();
    const uint64_t size = offset();
    INFO("truncate " << slot.name << " to " << size);
    REQUIRE(::ftruncate(slot.fd.get(), static_cast<off_t>(size)) == 0);
    slot.model.resize(size, '\0');
    compare(slot);
  }
  void reopen() {
    Slot& slot = any();
    const bool cut = below(3) == 0;
    INFO("open " << slot.name << " again" << (cut ? " with O_TRUNC" : ""));
    slot.fd.reset();
    slot.fd = open_file(slot.path, O_RDWR | (cut ? O_TRUNC : 0));
    if (cut) slot.model.clear();
    compare(slot);
  }

  static void compare(const Slot& slot) {
    INFO(slot.name << " afterwards");
    REQUIRE(size_of(slot.fd) == slot.model.size());
    // One byte more: there is none.
    const std::string seen = read_at(slot.fd, 0, slot.model.size() + 1);
    REQUIRE(seen.size() == slot.model.size());
    if (seen == slot.model) return;
    const auto differ = std::mismatch(seen.begin(), seen.end(), slot.model.begin());
    FAIL("the first byte that differs is at "
         << differ.first - seen.begin() << ": " << static_cast<int>(static_cast<unsigned char>(*differ.first))
         << " instead of " << static_cast<int>(static_cast<unsigned char>(*differ.second)));
  }

  std::mt19937_64 random_;
  std::vector<Slot> slots_;
};

}  // namespace

TEST_CASE("random copies in all directions leave what a model in memory says", "[model]") {
  const Mount mount;
  const auto heaps = mount.heaps();
  REQUIRE_FALSE(heaps.empty());
  for (const std::string& heap : heaps) {
    // Fixed, so that a failure comes back; two of them, so that one unlucky start is not all there is.
    for (const uint64_t seed : {20250901, 4711}) {
      INFO("heap " << heap << ", seed " << seed);
      Model model(mount, heap, heaps, seed);
      for (int step = 0; step < 150; ++step) {
        INFO("step " << step);
        model.step();
      }
      model.compare_all();
    }
  }
}

TEST_CASE("a file of any length is copied both ways and is the same", "[model]") {
  const Mount mount;
  constexpr uint64_t kHuge = 2 << 20;
  for (const std::string& heap : mount.heaps()) {
    for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{511}, uint64_t{4095}, uint64_t{4096},
                                uint64_t{4097}, kHuge - 1, kHuge, kHuge + 1}) {
      INFO("heap " << heap << ", size " << size);
      std::string text(size, '\0');
      for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(1 + (i * 131 + i / 4096) % 255);
      put(mount.data + "in", text);
      const UniqueFd in = open_file(mount.files + "in", O_RDONLY);
      const UniqueFd buffer = open_file(mount.heap(heap) + "b", O_RDWR | O_CREAT | O_TRUNC);
      const UniqueFd twin = open_file(mount.heap(heap) + "twin", O_RDWR | O_CREAT | O_TRUNC);
      const UniqueFd out = open_file(mount.files + "out", O_RDWR | O_CREAT | O_TRUNC);
      // What cp asks for: much more than there is.
      constexpr uint64_t kMuch = 0x7fffffffc0000000;
      REQUIRE(copy_range(in, 0, buffer, 0, kMuch) == size);
      REQUIRE(copy_range(buffer, 0, twin, 0, kMuch) == size);
      REQUIRE(copy_range(twin, 0, out, 0, kMuch) == size);
      CHECK(size_of(buffer) == size);
      CHECK(size_of(twin) == size);
      const bool filled = read_at(buffer, 0, size + 1) == text;
      CHECK(filled);
      const bool saved = content(mount.data + "out") == text;
      CHECK(saved);
    }
  }
}
