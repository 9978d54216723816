// SPDX-License-Identifier: MIT
// The directories of heaps/ without a mount: what they count, and their end.
#include <linux/fs.h>

#include <map>
#include <thread>
#include <vector>

#include "catch.h"
#include "descriptors.h"
#include "dmabuffs/tree/heaps/directory.h"

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

TEST_CASE("descriptors of what is being freed are waited for") {
  Tree tree;
  Caller other = tree.me;
  other.uid += 1;
  const auto limits = Shares::of_this_process(tree.context.budget, ::geteuid());
  auto all = tree.context.shares.take_descriptors(other.uid, limits.descriptors / 2).value();
  const NodePtr file = tree.top->mknod(other, "file", S_IFREG | 0644, 0).value();
  const auto refused = file->open(other, O_RDWR);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ENOSPC);
  auto token = tree.context.freeing.begin();
  std::thread freeing([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    all = Share();
    token.reset();
  });
  const auto opened = file->open(other, O_RDWR);
  freeing.join();
  CHECK(opened);
}

TEST_CASE("an empty buffer takes no descriptor, and has its times whether it is open or not") {
  Tree tree;
  const size_t before = open_descriptors();
  std::vector<NodePtr> files;
  for (int i = 0; i < 100; ++i)
    files.push_back(tree.top->mknod(tree.me, std::to_string(i), S_IFREG | 0644, 0).value());
  CHECK(open_descriptors() == before);
  Node& file = *files.front();
  AttributeChange dated;
  dated.mtime = dated.atime = timespec{1000000000, 5};
  REQUIRE(file.setattr(tree.me, dated, nullptr));
  const struct stat was = file.getattr(tree.me, nullptr).value();
  {
    const OpenPtr open = file.open(tree.me, O_RDWR).value();
    CHECK(open_descriptors() == before + 1);
    const struct stat now = file.getattr(tree.me, nullptr).value();
    CHECK(now.st_mtim.tv_sec == 1000000000);
    CHECK(now.st_mtim.tv_nsec == 5);
    CHECK(now.st_ctim.tv_nsec == was.st_ctim.tv_nsec);
    const std::byte one{1};
    REQUIRE(open->write(0, {&one, 1}));
  }
  CHECK(open_descriptors() == before + 1);  // it holds a byte
  AttributeChange emptied;
  emptied.size = 0;
  REQUIRE(file.setattr(tree.me, emptied, nullptr));
  CHECK(open_descriptors() == before);
  CHECK(file.getattr(tree.me, nullptr)->st_mtim.tv_sec > 1000000000);
  AttributeChange longer;
  longer.size = 4096;
  REQUIRE(file.setattr(tree.me, longer, nullptr));
  CHECK(file.getattr(tree.me, nullptr)->st_size == 4096);
  CHECK(open_descriptors() == before + 1);
}

TEST_CASE("with passthrough a memfd that somebody may have mapped stays the file's when that is emptied") {
  Tree tree;
  tree.context.passthrough.enable({});
  const NodePtr file = tree.top->mknod(tree.me, "file", S_IFREG | 0644, 0).value();
  const auto inode = [](const OpenPtr& open) {
    struct stat st {};
    REQUIRE(::fstat(open->passthrough_fd(), &st) == 0);
    return st.st_ino;
  };
  const auto resize = [&](uint64_t size) {
    AttributeChange change;
    change.size = size;
    REQUIRE(file->setattr(tree.me, change, nullptr));
  };
  OpenPtr open = file->open(tree.me, O_RDWR).value();
  const ino_t first = inode(open);
  SECTION("after the close") {
    resize(4096);
    open.reset();
    resize(0);
  }
  SECTION("before it") {
    resize(4096);
    resize(0);
    open.reset();
  }
  open = file->open(tree.me, O_RDWR).value();
  CHECK(inode(open) == first);
}

TEST_CASE(
    "a heap directory's listing goes on where it was, whatever is made, removed and renamed meanwhile") {
  Tree tree;
  HeapDirectory& top = *tree.top;
  const auto make = [&](const std::string& name) { REQUIRE(top.symlink(tree.me, "x", name)); };
  for (int i = 0; i < 1000; ++i) make("f" + std::to_string(i));
  const auto listing = top.opendir(tree.me).value();
  std::map<std::string, int> seen;
  auto few = listing->list(0).value();
  REQUIRE(few[0].name == ".");
  REQUIRE(few[1].name == "..");
  REQUIRE(few.size() < 500);
  for (size_t i = 0; i < few.size(); ++i) {
    ++seen[few[i].name];
    make("new" + std::to_string(i));
    if (i > 30) REQUIRE(top.unlink(tree.me, few[i].name));
  }
  // Names change hands, over the place where the reader is.
  REQUIRE(top.rename(tree.me, "f1", top, "f901", 0));
  REQUIRE(top.rename(tree.me, "f902", top, "f2", 0));
  REQUIRE(top.rename(tree.me, "f3", top, "f903", RENAME_EXCHANGE));
  REQUIRE(top.rename(tree.me, "f4", top, "other", 0));
  REQUIRE(top.rename(tree.me, "f904", top, "another", 0));
  for (int round = 0; !(few = listing->list(few.back().place).value()).empty(); ++round) {
    for (const auto& entry : few) {
      ++seen[entry.name];
      CHECK(top.lookup(tree.me, entry.name).value()->ino() == entry.ino);
    }
    make("late" + std::to_string(round));
  }
  for (const auto& [name, times] : seen) CHECK(times == 1);
  for (int i = 0; i < 1000; ++i) CHECK(seen.contains("f" + std::to_string(i)) == (i != 902 && i != 904));
  CHECK(seen.contains("another"));
  CHECK(seen.size() == 1001);  // with "." and "..", and nothing that was made later
}

TEST_CASE("a user's buffers and names end at that user's share") {
  Tree tree;
  const Caller other{tree.me.uid + 1, 0, 0, 0};
  unsigned made = 0;
  for (; made < 200000; ++made) {
    auto link = tree.top->symlink(other, std::string(4000, 'x'), std::to_string(made));
    if (link) continue;
    CHECK(link.error().code == ENOSPC);
    CHECK(link.error().message.find("user " + std::to_string(other.uid)) != std::string::npos);
    break;
  }
  CHECK(made > 1000);
  CHECK(made < 200000);
  for (int i = 0; i < 4; ++i) (void)tree.top->mkdir(other, "small" + std::to_string(i), 0755);
  CHECK_FALSE(tree.top->mkdir(other, "directory", 0755));
  CHECK_FALSE(tree.top->mknod(other, "file", S_IFREG | 0644, 0));
  CHECK(tree.top->mkdir(tree.me, "directory", 0755));  // the owner's are others
  for (unsigned i = 0; i < made; ++i) REQUIRE(tree.top->unlink(other, std::to_string(i)));
  CHECK(tree.top->mkdir(other, "other", 0755));
}

TEST_CASE("directories below a heap lie 128 deep at most, however they got there") {
  Tree tree;
  NodePtr at = tree.top;
  for (int level = 1; level <= 128; ++level) {
    auto next = at->mkdir(tree.me, "d", 0755);
    REQUIRE(next);
    at = *next;
  }
  const auto refused = at->mkdir(tree.me, "d", 0755);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ENAMETOOLONG);
  CHECK(at->mknod(tree.me, "file", S_IFREG | 0644, 0));
  const NodePtr side = tree.top->mkdir(tree.me, "side", 0755).value();
  const NodePtr first = tree.top->lookup(tree.me, "d").value();
  CHECK(tree.top->rename(tree.me, "d", *side, "d", 0).error().code == ENAMETOOLONG);
  CHECK(tree.top->rename(tree.me, "d", *tree.top, "side", RENAME_EXCHANGE));  // as deep as they were
  CHECK(first->rename(tree.me, "d", *tree.top, "up", 0));
}
