// SPDX-License-Identifier: MIT
#include <linux/fs.h>
#include <pthread.h>

#include <climits>

#include "catch.h"
#include "files_support.h"

using namespace files_test;

TEST_CASE("a host directory that can't be shown is refused by name") {
  MountContext context{MountSettings{}};
  const ScratchDirectory tree;
  put(tree.path("file"), "");
  const auto missing = make_files_root(context, {"data", tree.path("missing")});
  CHECK(code(missing) == ENOENT);
  CHECK(missing.error().message.find(tree.path("missing")) != std::string::npos);
  CHECK(code(make_files_root(context, {"data", tree.path("file")})) == ENOTDIR);
  CHECK(code(make_files_root(context, {"data", "/proc"})) == EACCES);
}

TEST_CASE("a file made below files/ is the host's file") {
  Host host;
  auto made = host.root->create(host.me, "new", S_IFREG | 0640, O_RDWR | O_CREAT | O_EXCL).value();
  CHECK(write_text(*made.open, 0, "hello").value() == 5);
  CHECK(get(host.tree.path("new")) == "hello");
  struct stat st {};
  REQUIRE(::stat(host.tree.path("new").c_str(), &st) == 0);
  CHECK(st.st_mode == (S_IFREG | 0640));
  CHECK(host.at("new") == made.node);
  CHECK(code(host.root->create(host.me, "new", 0600, O_RDWR | O_CREAT | O_EXCL)) == EEXIST);
  const auto again = host.root->create(host.me, "new", 0600, O_RDWR | O_CREAT);
  REQUIRE(again);
  CHECK(again->node == made.node);
  CHECK(read_all(*again->open) == "hello");
}

TEST_CASE("a directory that is shown for reading only refuses every change") {
  Host host;
  put(host.tree.path("file"), "text");
  const NodePtr root = make_files_root(host.context, {"kept", host.tree.path(), true}).value();
  const NodePtr file = root->lookup(host.me, "file").value();
  CHECK(read_all(*file->open(host.me, O_RDONLY).value()) == "text");
  CHECK(code(file->open(host.me, O_RDWR)) == EROFS);
  CHECK(code(file->open(host.me, O_WRONLY)) == EROFS);
  AttributeChange change;
  change.size = 0;
  CHECK(code(file->setattr(host.me, change, nullptr)) == EROFS);
  CHECK(code(file->setxattr(host.me, "user.a", "b", 0)) == EROFS);
  CHECK(code(file->removexattr(host.me, "user.a")) == EROFS);
  CHECK(code(root->create(host.me, "new", 0600, O_RDONLY | O_CREAT)) == EROFS);
  CHECK(code(root->mknod(host.me, "new", S_IFREG | 0600, 0)) == EROFS);
  CHECK(code(root->mkdir(host.me, "new", 0700)) == EROFS);
  CHECK(code(root->symlink(host.me, "file", "new")) == EROFS);
  CHECK(code(root->link(host.me, *file, "new")) == EROFS);
  CHECK(code(root->rename(host.me, "file", *root, "new", 0)) == EROFS);
  CHECK(code(root->unlink(host.me, "file")) == EROFS);
  CHECK(code(root->rmdir(host.me, "file")) == EROFS);
  CHECK(get(host.tree.path("file")) == "text");
}

TEST_CASE("creating over a symbolic link or a FIFO opens neither") {
  Host host;
  put(host.tree.path("target"), "kept");
  REQUIRE(::symlink("target", host.tree.path("link").c_str()) == 0);
  REQUIRE(::mkfifo(host.tree.path("fifo").c_str(), 0600) == 0);
  CHECK(code(host.root->create(host.me, "link", 0600, O_WRONLY | O_CREAT)) == ESTALE);
  CHECK(code(host.root->create(host.me, "fifo", 0600, O_WRONLY | O_CREAT)) == ESTALE);
  CHECK(code(host.at("fifo")->open(host.me, O_RDONLY)) == ENXIO);
}

TEST_CASE("every kind of node can be made, listed and removed") {
  Host host;
  REQUIRE(host.root->mkdir(host.me, "dir", 0750));
  REQUIRE(host.root->symlink(host.me, "some/where", "link"));
  REQUIRE(host.root->mknod(host.me, "fifo", S_IFIFO | 0600, 0));
  REQUIRE(host.root->mknod(host.me, "plain", S_IFREG | 0600, 0));
  CHECK(host.at("link")->readlink(host.me).value() == "some/where");
  CHECK(host.at("dir")->getattr(host.me, nullptr)->st_mode == (S_IFDIR | 0750));

  std::map<std::string, DirectoryEntry> seen;
  auto listing = host.root->opendir(host.me).value();
  const auto entries = entries_of(*listing);
  for (const auto& entry : entries) seen[entry.name] = entry;
  REQUIRE(seen.size() == 4);
  CHECK(seen["dir"].type == S_IFDIR);
  CHECK(seen["link"].type == S_IFLNK);
  CHECK(seen["fifo"].type == S_IFIFO);
  CHECK(seen["plain"].type == S_IFREG);
  CHECK(seen["plain"].ino == host.at("plain")->getattr(host.me, nullptr)->st_ino);
  CHECK(entries_of(*listing).size() == 4);  // rewound
  CHECK(listing->fsync());

  CHECK(code(host.root->unlink(host.me, "dir")) == EISDIR);
  CHECK(code(host.root->rmdir(host.me, "plain")) == ENOTDIR);
  CHECK(host.root->rmdir(host.me, "dir"));
  for (const char* name : {"link", "fifo", "plain"}) CHECK(host.root->unlink(host.me, name));
  CHECK(code(host.root->lookup(host.me, "plain")) == ENOENT);
  CHECK(entries_of(*listing).empty());
}

TEST_CASE("a host directory's listing goes on where it was, whatever is made and removed meanwhile") {
  Host host;
  const auto name = [](int i) { return "a rather long name of file " + std::to_string(i); };
  for (int i = 0; i < 2000; ++i) put(host.tree.path(name(i)), "");
  auto listing = host.root->opendir(host.me).value();
  std::map<std::string, int> seen;
  uint64_t after = 0;
  for (auto few = listing->list(0).value(); !few.empty(); few = listing->list(after).value()) {
    CHECK(few.size() < 500);
    few.resize((few.size() + 1) / 2);  // a client that had room for no more
    for (const auto& entry : few) ++seen[entry.name];
    after = few.back().place;
    if (seen.size() > 1000) continue;
    for (const auto& entry : few) ::unlink(host.tree.path(entry.name).c_str());
    put(host.tree.path("new " + std::to_string(after)), "");
  }
  for (int i = 0; i < 2000; ++i) CHECK(seen[name(i)] == 1);
  for (const auto& [what, times] : seen) CHECK(times == 1);
  auto again = host.root->opendir(host.me).value();
  const auto all = entries_of(*again);
  REQUIRE(all.size() > 900);
  CHECK(entries_of(*again, all[0].place).size() == all.size() - 1);  // seekdir(3)
}

TEST_CASE("two names of one file are one node") {
  Host host;
  put(host.tree.path("a"), "x");
  REQUIRE(host.root->mkdir(host.me, "dir", 0755));
  const NodePtr a = host.at("a");
  CHECK(host.at("dir")->link(host.me, *a, "b").value() == a);
  CHECK(host.at("dir/b") == a);
  CHECK(a->getattr(host.me, nullptr)->st_nlink == 2);
  REQUIRE(host.root->unlink(host.me, "a"));
  CHECK(a->getattr(host.me, nullptr)->st_nlink == 1);  // by the other name
  CHECK(read_all(*a->open(host.me, O_RDONLY).value()) == "x");
}

TEST_CASE("a symbolic link itself can be linked and dated") {
  Host host;
  REQUIRE(::symlink("nowhere", host.tree.path("link").c_str()) == 0);
  const NodePtr link = host.at("link");
  CHECK(host.root->link(host.me, *link, "second").value() == link);
  AttributeChange change;
  change.mtime = timespec{1234, 5678};
  CHECK(link->setattr(host.me, change, nullptr));
  CHECK(link->getattr(host.me, nullptr)->st_mtim.tv_sec == 1234);
}

TEST_CASE("a rename keeps the node, and the nodes below it reachable") {
  Host host;
  REQUIRE(host.root->mkdir(host.me, "from", 0755));
  REQUIRE(host.root->mkdir(host.me, "to", 0755));
  put(host.tree.path("from/file"), "text");
  const NodePtr from = host.at("from");
  const NodePtr file = host.at("from/file");
  REQUIRE(host.root->rename(host.me, "from", *host.at("to"), "moved", 0));
  // Without another lookup, as a process whose working directory it is.
  CHECK(from->lookup(host.me, "file").value() == file);
  CHECK(read_all(*file->open(host.me, O_RDONLY).value()) == "text");
  CHECK(from->parent() == host.at("to"));
  CHECK(host.at("to/moved") == from);
  CHECK(code(host.at("to")->rename(host.me, "moved", *from, "inside", 0)) == EINVAL);
}

TEST_CASE("rename flags do what renameat2 says") {
  Host host;
  put(host.tree.path("a"), "A");
  put(host.tree.path("b"), "B");
  const NodePtr a = host.at("a");
  const NodePtr b = host.at("b");
  CHECK(code(host.root->rename(host.me, "a", *host.root, "b", RENAME_NOREPLACE)) == EEXIST);
  CHECK(host.root->rename(host.me, "a", *host.root, "b", RENAME_EXCHANGE));
  CHECK(get(host.tree.path("a")) == "B");
  CHECK(read_all(*a->open(host.me, O_RDONLY).value()) == "A");
  CHECK(read_all(*b->open(host.me, O_RDONLY).value()) == "B");
  CHECK(host.at("a") == b);
  CHECK(code(host.root->rename(host.me, "a", *host.root, "b", RENAME_WHITEOUT)) == EINVAL);
  CHECK(host.root->rename(host.me, "a", *host.root, "b", 0));
  CHECK(get(host.tree.path("b")) == "B");
  CHECK(a->getattr(host.me, nullptr)->st_nlink == 0);
}

TEST_CASE("a directory removed while a process works in it is empty, not an error") {
  Host host;
  REQUIRE(host.root->mkdir(host.me, "dir", 0755));
  const NodePtr dir = host.at("dir");
  REQUIRE(host.root->rmdir(host.me, "dir"));
  CHECK(dir->getattr(host.me, nullptr)->st_nlink == 0);
  CHECK(entries_of(*dir->opendir(host.me).value()).empty());
  CHECK(code(dir->lookup(host.me, "x")) == ENOENT);
  CHECK(code(dir->mkdir(host.me, "x", 0755)) == ENOENT);
  REQUIRE(host.root->mkdir(host.me, "dir", 0755));
  CHECK(host.at("dir") != dir);
}

TEST_CASE("between two host directories there is no rename and no link") {
  Host one, two;
  put(one.tree.path("a"), "");
  CHECK(code(one.root->rename(one.me, "a", *two.root, "a", 0)) == EXDEV);
  CHECK(code(two.root->link(two.me, *one.at("a"), "a")) == EXDEV);
}

TEST_CASE("what was looked up stays what it is, whatever the host does behind the mount's back") {
  Host host;
  REQUIRE(::mkdir(host.tree.path("dir").c_str(), 0755) == 0);
  put(host.tree.path("dir/file"), "old");
  const NodePtr dir = host.at("dir");
  const NodePtr file = host.at("dir/file");

  SECTION("a file replaced by another opens as it was, and its name is the other") {
    put(host.tree.path("other"), "new");
    REQUIRE(::rename(host.tree.path("other").c_str(), host.tree.path("dir/file").c_str()) == 0);
    CHECK(read_all(*file->open(host.me, O_RDONLY).value()) == "old");
    CHECK(file->getattr(host.me, nullptr)->st_nlink == 0);
    CHECK(host.at("dir/file") != file);
    CHECK(read_all(*host.at("dir/file")->open(host.me, O_RDONLY).value()) == "new");
  }
  SECTION("a directory that is gone is empty") {
    REQUIRE(std::filesystem::remove_all(host.tree.path("dir")) == 2);
    CHECK(code(dir->lookup(host.me, "file")) == ENOENT);
    CHECK(code(dir->mkdir(host.me, "new", 0755)) == ENOENT);
    CHECK(entries_of(*dir->opendir(host.me).value()).empty());
    CHECK(dir->getattr(host.me, nullptr)->st_nlink == 0);
    CHECK(code(host.root->lookup(host.me, "dir")) == ENOENT);
  }
  SECTION("who works in a directory that was replaced works in his own") {
    REQUIRE(::rename(host.tree.path("dir").c_str(), host.tree.path("away").c_str()) == 0);
    REQUIRE(::mkdir(host.tree.path("dir").c_str(), 0755) == 0);
    CHECK(dir->create(host.me, "new", 0600, O_WRONLY | O_CREAT));
    CHECK(::access(host.tree.path("away/new").c_str(), F_OK) == 0);
    CHECK(std::filesystem::is_empty(host.tree.path("dir")));
    CHECK(host.at("away") == dir);
    CHECK(host.at("dir") != dir);
  }
  SECTION("no other file gets the inode number of one that is known") {
    REQUIRE(::unlink(host.tree.path("dir/file").c_str()) == 0);
    put(host.tree.path("dir/file"), "another");
    CHECK(host.at("dir/file") != file);
    CHECK(host.at("dir/file")->shown_ino() != file->shown_ino());
  }
}

TEST_CASE("directories moved into one another on the host never form a circle") {
  Host host;
  REQUIRE(::mkdir(host.tree.path("a").c_str(), 0755) == 0);
  REQUIRE(::mkdir(host.tree.path("a/b").c_str(), 0755) == 0);
  const NodePtr a = host.at("a");
  const NodePtr b = host.at("a/b");
  REQUIRE(::rename(host.tree.path("a/b").c_str(), host.tree.path("b").c_str()) == 0);
  REQUIRE(::rename(host.tree.path("a").c_str(), host.tree.path("b/a").c_str()) == 0);
  CHECK(code(a->lookup(host.me, "b")) == ENOENT);
  CHECK(host.at("b") == b);
  CHECK(host.at("b/a") == a);
  CHECK(a->getattr(host.me, nullptr));
}

TEST_CASE("names are bytes") {
  Host host;
  const std::string strange = "\xff\xfe newline\n";
  const std::string longest(255, 'n');
  for (const std::string& name : {strange, longest}) {
    REQUIRE(host.root->create(host.me, name, 0600, O_WRONLY | O_CREAT));
    CHECK(::access(host.tree.path(name).c_str(), F_OK) == 0);
    CHECK(host.root->lookup(host.me, name));
    CHECK(host.root->unlink(host.me, name));
  }
  CHECK(code(host.root->lookup(host.me, std::string(256, 'n'))) == ENAMETOOLONG);
}

TEST_CASE("a tree deeper than PATH_MAX works, one of more than 4096 directories is refused") {
  with_own_mounts([] {
    Host host;
    const HostMount memory(host.tree.path("memory"), "tmpfs");  // deep trees are slow on a disk
    const std::string name(250, 'd');
    NodePtr at = host.at("memory");
    for (int level = 0; level < 60; ++level) at = at->mkdir(host.me, name, 0755).value();
    auto made = at->create(host.me, "file", 0600, O_RDWR | O_CREAT);
    REQUIRE(made);
    CHECK(made->node->getattr(host.me, nullptr));
    Result<NodePtr> next = at;
    for (int level = 60; level < 5000 && next; ++level) {
      at = *next;
      next = at->mkdir(host.me, "d", 0755);
    }
    CHECK(code(next) == ENAMETOOLONG);
    CHECK(entries_of(*at->opendir(host.me).value()).empty());  // nor was it made
  });
}

TEST_CASE("a chain of nodes deeper than the stack lets go of itself") {
  with_own_mounts([] {
    Host host;
    const HostMount memory(host.tree.path("memory"), "tmpfs");  // deep trees are slow on a disk
    NodePtr at = host.at("memory");
    for (int level = 0; level < 3000; ++level) at = at->mkdir(host.me, "d", 0755).value();
    const std::weak_ptr<Node> watched = at;
    pthread_attr_t small;
    REQUIRE(::pthread_attr_init(&small) == 0);
    REQUIRE(::pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN + (64 << 10)) == 0);
    pthread_t thread;
    const auto let_go = [](void* node) -> void* {
      static_cast<NodePtr*>(node)->reset();
      return nullptr;
    };
    REQUIRE(::pthread_create(&thread, &small, let_go, &at) == 0);
    ::pthread_join(thread, nullptr);
    ::pthread_attr_destroy(&small);
    CHECK(watched.expired());
  });
}

TEST_CASE("statfs tells of the host's file system") {
  Host host;
  struct statvfs expected {};
  REQUIRE(::statvfs(host.tree.path().c_str(), &expected) == 0);
  const auto told = host.root->statfs(host.me);
  REQUIRE(told);
  CHECK(told->f_blocks == expected.f_blocks);
  CHECK(told->f_namemax == expected.f_namemax);
}
