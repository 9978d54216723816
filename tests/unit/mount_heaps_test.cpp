// SPDX-License-Identifier: MIT
// The directories of heaps/ without a mount: what they count, and their end.
#include <linux/fs.h>

#include "catch.h"
#include "dmabuffs/fs/heap_directory.h"

using namespace dmabuffs;

namespace {

struct Tree {
  MountContext context{MountSettings{}};
  std::shared_ptr<HeapDirectory> top;
  Caller me{::geteuid(), ::getegid(), ::getpid(), 0};

  Tree() {
    context.heaps = HeapRegistry::make(context.budget, {{"memfd", {}}}).value();
    top = std::make_shared<HeapDirectory>(std::make_shared<HeapTree>(context, context.heaps->find("memfd")),
                                          std::weak_ptr<Node>());
  }
  [[nodiscard]] unsigned links(Node& node) const {
    return static_cast<unsigned>(node.getattr(me, nullptr)->st_nlink);
  }
};

}  // namespace

TEST_CASE("a heap's directory counts its subdirectories through all that happens to names") {
  Tree tree;
  HeapDirectory& top = *tree.top;
  CHECK(tree.links(top) == 2);
  const NodePtr a = top.mkdir(tree.me, "a", 0755).value();
  REQUIRE(top.mkdir(tree.me, "b", 0755));
  REQUIRE(top.mknod(tree.me, "file", S_IFREG | 0644, 0));
  CHECK(tree.links(top) == 4);
  REQUIRE(top.rename(tree.me, "b", *a, "b", 0));
  CHECK(tree.links(top) == 3);
  CHECK(tree.links(*a) == 3);
  REQUIRE(top.rename(tree.me, "file", *a, "b", RENAME_EXCHANGE));
  CHECK(tree.links(top) == 4);
  CHECK(tree.links(*a) == 2);
  REQUIRE(top.mkdir(tree.me, "c", 0755));
  REQUIRE(top.rename(tree.me, "file", top, "c", 0));  // a directory by now, over an empty one
  CHECK(tree.links(top) == 4);
  REQUIRE(a->unlink(tree.me, "b"));
  REQUIRE(top.rmdir(tree.me, "a"));
  REQUIRE(top.rmdir(tree.me, "c"));
  CHECK(tree.links(top) == 2);
  CHECK(tree.links(*a) == 0);
}

TEST_CASE("a heap's directory that goes takes no buffer with it, and nothing is made in it afterwards") {
  Tree tree;
  REQUIRE(tree.top->mknod(tree.me, "file", S_IFREG | 0644, 0));
  CHECK_FALSE(tree.top->retire());
  REQUIRE(tree.top->mknod(tree.me, "other", S_IFREG | 0644, 0));
  REQUIRE(tree.top->unlink(tree.me, "file"));
  REQUIRE(tree.top->unlink(tree.me, "other"));
  CHECK(tree.top->retire());
  const auto late = tree.top->mknod(tree.me, "late", S_IFREG | 0644, 0);
  CHECK((!late && late.error().code == ENOENT));
}
