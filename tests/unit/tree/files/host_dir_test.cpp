// SPDX-License-Identifier: MIT
#include <linux/fs.h>
#include <atomic>

#include "catch.h"
#include "files_support.h"

using namespace files_test;

TEST_CASE("no name leads out of a host directory") {
  Host host;
  REQUIRE(::symlink("/etc", host.tree.path("etc").c_str()) == 0);
  REQUIRE(::symlink("..", host.tree.path("up").c_str()) == 0);
  for (const std::string name : {"", ".", "..", "../etc", "etc/passwd", "/etc", "up/.."}) {
    CHECK(code(host.root->lookup(host.me, name)) == EINVAL);
    CHECK(code(host.root->unlink(host.me, name)) == EINVAL);
    CHECK(code(host.root->create(host.me, name, 0600, O_RDWR | O_CREAT)) == EINVAL);
    CHECK(code(host.root->rename(host.me, "etc", *host.root, name, 0)) == EINVAL);
  }
  CHECK(code(host.root->lookup(host.me, std::string("a\0b", 3))) == EINVAL);
  const NodePtr link = host.at("etc");
  CHECK(S_ISLNK(link->getattr(host.me, nullptr)->st_mode));
  CHECK(code(link->lookup(host.me, "passwd")) == ENOTDIR);
  CHECK(code(link->opendir(host.me)) == ENOTDIR);
  CHECK(code(link->open(host.me, O_RDONLY)) == ENXIO);
  CHECK(code(host.at("up")->lookup(host.me, "passwd")) == ENOTDIR);
}

TEST_CASE("a directory replaced by a symbolic link is not followed") {
  Host host;
  const ScratchDirectory outside;
  put(outside.path("file"), "secret");
  REQUIRE(::mkdir(host.tree.path("dir").c_str(), 0755) == 0);
  put(host.tree.path("dir/file"), "ours");
  const NodePtr dir = host.at("dir");
  const NodePtr file = host.at("dir/file");
  REQUIRE(::rename(host.tree.path("dir").c_str(), host.tree.path("away").c_str()) == 0);
  REQUIRE(::symlink(outside.path().c_str(), host.tree.path("dir").c_str()) == 0);
  CHECK(read_all(*file->open(host.me, O_RDONLY).value()) == "ours");
  CHECK(dir->lookup(host.me, "file").value() == file);
  CHECK(dir->create(host.me, "new", 0600, O_WRONLY | O_CREAT));
  CHECK(::access(host.tree.path("away/new").c_str(), F_OK) == 0);
  CHECK(dir->unlink(host.me, "file"));
  CHECK(code(host.at("dir")->lookup(host.me, "file")) == ENOTDIR);
  CHECK(get(outside.path("file")) == "secret");
  CHECK(std::distance(std::filesystem::directory_iterator(outside.path()), {}) == 1);
}

TEST_CASE("a symbolic link swapped in while the mount walks never shows what it points to") {
  Host host;
  const ScratchDirectory outside;
  put(outside.path("file"), "secret");
  REQUIRE(::mkdir(host.tree.path("dir").c_str(), 0755) == 0);
  put(host.tree.path("dir/file"), "ours");
  REQUIRE(::symlink(outside.path().c_str(), host.tree.path("evil").c_str()) == 0);
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    while (!stop) {
      ::renameat2(AT_FDCWD, host.tree.path("dir").c_str(), AT_FDCWD, host.tree.path("evil").c_str(),
                  RENAME_EXCHANGE);
    }
  });
  unsigned opened = 0, leaked = 0, links = 0;
  for (int round = 0; round < 20000; ++round) {
    const auto dir = host.root->lookup(host.me, "dir");
    if (!dir) continue;
    if ((*dir)->readlink(host.me)) ++links;
    (void)(*dir)->create(host.me, "new" + std::to_string(round % 8), 0600, O_WRONLY | O_CREAT);
    const auto file = (*dir)->lookup(host.me, "file");
    if (!file) continue;
    const auto open = (*file)->open(host.me, O_RDONLY);
    if (!open) continue;
    ++opened;
    if (read_all(**open) != "ours") ++leaked;
  }
  stop = true;
  swapper.join();
  CHECK(leaked == 0);
  CHECK(opened > 0);
  CHECK(links > 0);  // so there was something to race with
  CHECK(std::distance(std::filesystem::directory_iterator(outside.path()), {}) == 1);
}

TEST_CASE("the mount never enters itself") {
  with_own_mounts([] {
    Host host;
    REQUIRE(::mkdir(host.tree.path("dir").c_str(), 0755) == 0);
    const HostMount own(host.tree.path("dir/run"), "tmpfs");
    CHECK(host.at("dir/run"));
    host.context.own_device = own.device();
    CHECK(code(host.at("dir")->lookup(host.me, "run")) == ELOOP);
    auto listing = host.at("dir")->opendir(host.me).value();
    CHECK(entries_of(*listing).size() == 1);  // the name is there
  });
}

TEST_CASE("a mount put over a known directory is not walked into by old nodes") {
  with_own_mounts([] {
    Host host;
    REQUIRE(std::filesystem::create_directories(host.tree.path("dir/sub")));
    put(host.tree.path("dir/sub/file"), "below");
    const NodePtr sub = host.at("dir/sub");
    const NodePtr file = host.at("dir/sub/file");
    {
      const HostMount over(host.tree.path("dir"), "tmpfs");
      REQUIRE(::mkdir(host.tree.path("dir/sub").c_str(), 0755) == 0);
      // What is on top may be this very mount, seen through a bind mount.
      host.context.own_device = over.device();
      CHECK(read_all(*file->open(host.me, O_RDONLY).value()) == "below");
      CHECK(sub->create(host.me, "new", 0600, O_WRONLY | O_CREAT));
      CHECK(std::filesystem::is_empty(host.tree.path("dir/sub")));
      CHECK(code(host.root->lookup(host.me, "dir")) == ELOOP);
      host.context.own_device = 0;
      CHECK(host.at("dir/sub") != sub);  // another mount is entered, as on the host
      CHECK(host.at("dir/sub")->mkdir(host.me, "deeper", 0755));
    }
    CHECK(host.at("dir/sub/new"));  // made in the covered directory
  });
}

TEST_CASE("procfs below a host directory is not entered") {
  with_own_mounts([] {
    Host host;
    const HostMount proc(host.tree.path("proc"), "proc");
    CHECK(code(host.root->lookup(host.me, "proc")) == EACCES);
  });
}

TEST_CASE("a read-only host directory answers EROFS") {
  with_own_mounts([] {
    Host host;
    const HostMount ro(host.tree.path("ro"), "tmpfs");
    put(host.tree.path("ro/file"), "x");
    REQUIRE(::mount(nullptr, host.tree.path("ro").c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
    const NodePtr node = host.at("ro");
    CHECK(code(node->create(host.me, "new", 0600, O_WRONLY | O_CREAT)) == EROFS);
    CHECK(code(node->mkdir(host.me, "new", 0700)) == EROFS);
    CHECK(code(node->unlink(host.me, "file")) == EROFS);
    CHECK(code(host.at("ro/file")->open(host.me, O_RDWR)) == EROFS);
    CHECK(read_all(*host.at("ro/file")->open(host.me, O_RDONLY).value()) == "x");
    AttributeChange change;
    change.mode = 0600;
    CHECK(code(host.at("ro/file")->setattr(host.me, change, nullptr)) == EROFS);
  });
}
