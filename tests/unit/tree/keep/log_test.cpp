// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/keep/log.h"

#include <sys/stat.h>

#include <map>
#include <random>
#include <span>

#include "catch.h"
#include "dmabuffs/base/io.h"
#include "dmabuffs/heap/memfd_heap.h"

using namespace dmabuffs;

namespace {

using Image = std::string;
using Contents = std::map<uint64_t, std::string>;  // by number: all there is, in bytes

KeptEntry buffer(uint64_t number, std::string name, uint64_t size = 0) {
  return {.number = number, .mode = S_IFREG | 0644, .heap = "memfd", .name = std::move(name), .size = size};
}

Image image_of(const KeptLog& log) {
  struct stat st {};
  REQUIRE(::fstat(log.fd(), &st) == 0);
  Image image(static_cast<size_t>(st.st_size), '\0');
  REQUIRE(pread_all(log.fd(), std::as_writable_bytes(std::span(image)), 0) == st.st_size);
  return image;
}

std::vector<KeptEntry> read(const Image& image, bool& damaged) {
  auto memfd = make_memfd("image", PageSize::Small);
  REQUIRE(memfd);
  REQUIRE(pwrite_all(memfd->get(), std::as_bytes(std::span(image)), 0) == static_cast<ssize_t>(image.size()));
  return KeptLog::read(memfd->get(), damaged);
}

Contents contents_of(const Image& image) {
  bool damaged = true;
  Contents contents;
  for (const KeptEntry& entry : read(image, damaged)) contents[entry.number] = to_bytes(entry);
  REQUIRE_FALSE(damaged);
  return contents;
}

}  // namespace

TEST_CASE("a list of names is read as it was written, compacted or not", "[keep]") {
  auto log = KeptLog::make();
  REQUIRE(log);
  Contents wanted;
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    KeptEntry entry{.number = 1 + random() % 40};
    if (random() % 4 > 0) {
      entry = buffer(entry.number, std::string(1 + random() % 255, 'n'), random());
      entry.xattrs["user.x"] = std::string(random() % 2000, '\0');
      wanted[entry.number] = to_bytes(entry);
    } else {
      wanted.erase(entry.number);
    }
    REQUIRE(log->append({entry}));
    if (!log->wasteful()) continue;
    auto smaller = log->compacted();
    REQUIRE(smaller);
    REQUIRE(contents_of(image_of(*smaller)) == wanted);
    REQUIRE_FALSE(smaller->wasteful());
    log = std::move(smaller);
  }
  REQUIRE(contents_of(image_of(*log)) == wanted);
}

TEST_CASE("a program that ends in the middle of a write leaves all as it was", "[keep]") {
  auto log = KeptLog::make();
  REQUIRE(log);
  REQUIRE(log->append({buffer(1, "one"), buffer(2, "two")}));
  const Image before = image_of(*log);
  REQUIRE(log->append({buffer(2, "one", 7), {.number = 1}}));  // a rename over another
  const Image after = image_of(*log);
  const Contents old = contents_of(before);
  for (size_t size = before.size(); size < after.size(); ++size)
    REQUIRE(contents_of(after.substr(0, size)) == old);
  REQUIRE(contents_of(after).size() == 1);
}

TEST_CASE("of a damaged list of names nothing is read that nobody can have written", "[keep]") {
  auto log = KeptLog::make();
  REQUIRE(log);
  for (uint64_t number = 1; number <= 20; ++number) REQUIRE(log->append({buffer(number, "name")}));
  const Image whole = image_of(*log);
  bool damaged = false;
  REQUIRE(read("", damaged).empty());
  REQUIRE(damaged);
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]), writer(ends[1]);
  REQUIRE(KeptLog::read(reader.get(), damaged).empty());
  REQUIRE(damaged);
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    Image broken = whole;
    for (int n = 0; n < 5; ++n) broken[16 + random() % (broken.size() - 16)] = static_cast<char>(random());
    for (const KeptEntry& entry : read(broken, damaged)) {
      REQUIRE(entry.number != 0);
      REQUIRE(entry.name.find('/') == entry.name.npos);
    }
  }
  KeptEntry link = buffer(1, "link");
  link.mode = S_IFLNK | 0777;
  KeptEntry device = buffer(1, "device");
  device.mode = S_IFCHR | 0666;
  for (const KeptEntry& wrong : {buffer(0, "x"), buffer(1, ""), buffer(1, "."), buffer(1, ".."),
                                 buffer(1, "a/b"), buffer(1, std::string(256, 'x')), link, device}) {
    const std::string bytes = to_bytes(wrong);
    std::string_view rest = bytes;
    KeptEntry entry;
    CHECK_FALSE(take_entry(rest, entry));
  }
}
