// SPDX-License-Identifier: MIT
// What the client's kernel knows is held, and what happens where there are not enough descriptors for that.
#include <sys/resource.h>

#include "catch.h"
#include "files_support.h"

using namespace files_test;

namespace {

/// For a room that holds at most `most` directories and `most` other inodes: its share of what the process
/// may have open.
MountSettings few_held(rlim_t most, MountSettings settings = {}) {
  struct rlimit limit {};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  settings.files.resize(limit.rlim_cur / 4 / most);
  return settings;
}

size_t open_descriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

}  // namespace

TEST_CASE("a file that was removed is there for who has it open, with O_PATH or otherwise") {
  Host host;
  put(host.tree.path("file"), "text");
  const NodePtr file = host.at("file");
  REQUIRE(host.root->unlink(host.me, "file"));
  CHECK(file->getattr(host.me, nullptr)->st_nlink == 0);
  auto open = file->open(host.me, O_RDWR);
  REQUIRE(open);
  CHECK(read_all(**open) == "text");
  AttributeChange change;
  change.mode = 0640;
  CHECK(file->setattr(host.me, change, nullptr));
  CHECK(file->getattr(host.me, nullptr)->st_mode == (S_IFREG | 0640));
}

TEST_CASE("a descriptor is held for each node that the kernel knows, and no longer") {
  Host host;
  for (int i = 0; i < 20; ++i) put(host.tree.path("f" + std::to_string(i)), "");
  const size_t before = open_descriptors();
  std::vector<NodePtr> known;
  for (int i = 0; i < 20; ++i) known.push_back(host.at("f" + std::to_string(i)));
  CHECK(open_descriptors() == before + 20);
  known.clear();
  CHECK(open_descriptors() == before);
}

TEST_CASE(
    "a file that nobody asks about any more is let go, so its room on the disk is free; directories are "
    "kept") {
  Host host;
  put(host.tree.path("file"), "");
  REQUIRE(::mkdir(host.tree.path("dir").c_str(), 0755) == 0);
  const size_t before = open_descriptors();
  const NodePtr file = host.at("file");
  const NodePtr dir = host.at("dir");
  CHECK(open_descriptors() == before + 2);
  for (int wait = 0; wait < 600 && open_descriptors() > before + 1; ++wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(open_descriptors() == before + 1);
  CHECK(file->getattr(host.me, nullptr));
  REQUIRE(::rmdir(host.tree.path("dir").c_str()) == 0);
  CHECK(dir->getattr(host.me, nullptr)->st_nlink == 0);
}

TEST_CASE("of more nodes than there are descriptors for, those used last are held, the others found again") {
  Host host(few_held(8));
  REQUIRE(::mkdir(host.tree.path("dir").c_str(), 0755) == 0);
  put(host.tree.path("replaced"), "old");
  put(host.tree.path("removed"), "");
  put(host.tree.path("open"), "text");
  const NodePtr dir = host.at("dir");
  const NodePtr replaced = host.at("replaced");
  const NodePtr removed = host.at("removed");
  const NodePtr opened = host.at("open");
  const auto open = opened->open(host.me, O_RDONLY).value();
  const size_t before = open_descriptors();
  std::vector<NodePtr> known;
  for (int i = 0; i < 100; ++i) {
    put(host.tree.path("dir/f" + std::to_string(i)), std::to_string(i));
    known.push_back(dir->lookup(host.me, "f" + std::to_string(i)).value());
  }
  CHECK(open_descriptors() <= before + 8);

  put(host.tree.path("other"), "new");
  REQUIRE(::rename(host.tree.path("other").c_str(), host.tree.path("replaced").c_str()) == 0);
  REQUIRE(::unlink(host.tree.path("removed").c_str()) == 0);
  REQUIRE(::unlink(host.tree.path("open").c_str()) == 0);
  REQUIRE(::rename(host.tree.path("dir").c_str(), host.tree.path("moved").c_str()) == 0);
  CHECK(code(replaced->getattr(host.me, nullptr)) == ESTALE);
  CHECK(code(removed->getattr(host.me, nullptr)) == ENOENT);
  CHECK(opened->getattr(host.me, nullptr)->st_nlink == 0);  // by the descriptor of who has it open
  CHECK(read_all(*open) == "text");
  // The directory was used all the time, so it is still held; each file is found in it.
  for (int i = 0; i < 100; ++i) {
    CHECK(known[static_cast<size_t>(i)]->getattr(host.me, nullptr));
    CHECK(read_all(*known[static_cast<size_t>(i)]->open(host.me, O_RDONLY).value()) == std::to_string(i));
  }
  CHECK(open_descriptors() <= before + 8);
}

TEST_CASE("what is found again by its name is never what a symbolic link or a mount in its place leads to") {
  with_own_mounts([] {
    const ScratchDirectory outside;
    put(outside.path("file"), "secret");
    Host host(few_held(1));
    put(host.tree.path("other"), "");
    REQUIRE(::mkdir(host.tree.path("others").c_str(), 0755) == 0);
    const auto let_go = [&] {  // takes the one place of each kind
      (void)host.at("other");
      (void)host.at("others");
    };
    REQUIRE(std::filesystem::create_directories(host.tree.path("dir/sub")));
    put(host.tree.path("dir/file"), "ours");
    const NodePtr dir = host.at("dir");
    const NodePtr file = host.at("dir/file");
    let_go();
    CHECK(read_all(*file->open(host.me, O_RDONLY).value()) == "ours");
    {
      let_go();
      const HostMount over(host.tree.path("dir"), "tmpfs");
      host.context.own_device = over.device();
      CHECK(code(file->open(host.me, O_RDONLY)) == ESTALE);
      CHECK(code(dir->mkdir(host.me, "new", 0755)) == ESTALE);
      CHECK(std::filesystem::is_empty(host.tree.path("dir")));
      host.context.own_device = 0;
    }
    REQUIRE(::rename(host.tree.path("dir").c_str(), host.tree.path("away").c_str()) == 0);
    REQUIRE(::symlink(outside.path().c_str(), host.tree.path("dir").c_str()) == 0);
    let_go();
    CHECK(code(file->open(host.me, O_RDONLY)) == ESTALE);
    CHECK(code(dir->create(host.me, "new", 0600, O_WRONLY | O_CREAT)) == ESTALE);
    CHECK(std::distance(std::filesystem::directory_iterator(outside.path()), {}) == 1);
    CHECK(host.at("away") == dir);
    CHECK(host.at("away/file") == file);
  });
}

TEST_CASE("with allow_other what is found again is found with the rights of who asks") {
  Host host(few_held(1, settings_for_everyone()));
  REQUIRE(::mkdir(host.tree.path("private").c_str(), 0700) == 0);
  put(host.tree.path("private/file"), "hidden");
  put(host.tree.path("other"), "");
  const NodePtr file = host.at("private/file");
  REQUIRE(host.at("other"));
  const Bystander bob(21002, 21002, {});
  CHECK(code(file->open(bob.caller(), O_RDONLY)) == EACCES);
  CHECK(file->open(host.me, O_RDONLY));
}

TEST_CASE("a directory on overlayfs stays itself when it is copied up, and links there stay apart") {
  with_own_mounts([] {
    Host host;
    const HostMount memory(host.tree.path("layers"), "tmpfs");  // overlayfs takes no overlayfs as upper layer
    for (const char* layer : {"lower", "lower/dir", "upper", "work"})
      REQUIRE(::mkdir(host.tree.path(std::string("layers/") + layer).c_str(), 0755) == 0);
    put(host.tree.path("layers/lower/dir/a"), "text");
    REQUIRE(::link(host.tree.path("layers/lower/dir/a").c_str(),
                   host.tree.path("layers/lower/dir/b").c_str()) == 0);
    REQUIRE(::mkdir(host.tree.path("over").c_str(), 0755) == 0);
    const std::string options = "lowerdir=" + host.tree.path("layers/lower") +
                                ",upperdir=" + host.tree.path("layers/upper") +
                                ",workdir=" + host.tree.path("layers/work");
    REQUIRE(::mount("overlay", host.tree.path("over").c_str(), "overlay", 0, options.c_str()) == 0);
    {
      const NodePtr dir = host.at("over/dir");
      CHECK(dir->create(host.me, "new", 0600, O_WRONLY | O_CREAT));
      CHECK(entries_of(*dir->opendir(host.me).value()).size() == 3);
      CHECK(host.at("over/dir") == dir);
      CHECK(dir->lookup(host.me, "new"));

      const NodePtr a = dir->lookup(host.me, "a").value();
      CHECK(write_text(*dir->lookup(host.me, "b").value()->open(host.me, O_RDWR).value(), 0, "b").value() ==
            1);
      CHECK(get(host.tree.path("over/dir/a")) == "text");
      CHECK(get(host.tree.path("over/dir/b")) == "bext");
    }
    ::umount2(host.tree.path("over").c_str(), MNT_DETACH);
  });
}
