// SPDX-License-Identifier: MIT
#include <set>

#include "catch.h"
#include "files_support.h"

using namespace files_test;

TEST_CASE(
    "inode numbers of several host file systems differ, and fit a 32-bit program where the host's are "
    "small") {
  FilesNumbers numbers;
  std::set<uint64_t> seen;
  for (const dev_t device : {1, 2, 50}) {
    for (const uint64_t inode : {uint64_t{2}, uint64_t{300}, uint64_t{12'345'678}, uint64_t{100'000'000}}) {
      const uint64_t shown = numbers.shown(device, inode);
      CHECK(shown >= kFirstShownInode);  // node numbers of buffers count up from 2
      CHECK(shown <= UINT32_MAX);
      CHECK(shown == numbers.shown(device, inode));
      seen.insert(shown);
    }
  }
  CHECK(seen.size() == 12);
}

TEST_CASE("no inode number is above 2^53, whatever the host's are") {
  FilesNumbers numbers;
  std::set<uint64_t> seen;
  uint64_t inode = 1;
  for (int i = 0; i < 100'000; ++i) {
    inode = inode * 6364136223846793005 + 1442695040888963407;
    const uint64_t shown = numbers.shown(7, inode);
    if (shown >= uint64_t{1} << 53 || shown != numbers.shown(7, inode)) FAIL("inode " << inode);
    seen.insert(shown);
  }
  CHECK(seen.size() == 100'000);
}

TEST_CASE("a file keeps its inode number whether it is known or not, and its directory tells the same") {
  Host host;
  put(host.tree.path("a"), "x");
  REQUIRE(::link(host.tree.path("a").c_str(), host.tree.path("b").c_str()) == 0);
  const auto listing = host.root->opendir(host.me).value();
  const auto entries = entries_of(*listing);
  REQUIRE(entries.size() == 2);
  const uint64_t a = host.at("a")->getattr(host.me, nullptr)->st_ino;
  CHECK(host.at("b")->getattr(host.me, nullptr)->st_ino == a);  // the kernel has forgotten the other by now
  for (const auto& entry : entries) CHECK(entry.ino == a);
  struct stat st {};
  REQUIRE(::stat(host.tree.path("a").c_str(), &st) == 0);
  struct stat shown = host.at("a")->getattr(host.me, nullptr).value();
  CHECK(same_shown_file(st, shown));
  put(host.tree.path("c"), "y");
  REQUIRE(::stat(host.tree.path("c").c_str(), &st) == 0);
  CHECK_FALSE(same_shown_file(st, shown));
}

TEST_CASE("looking up files takes no numbers from the buffers") {
  Host host;
  put(host.tree.path("a"), "");
  const uint64_t before = host.context.numbers.next();
  for (int i = 0; i < 100; ++i) (void)host.at("a");
  CHECK(host.context.numbers.next() == before + 1);
}
