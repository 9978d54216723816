// SPDX-License-Identifier: MIT
#include <linux/falloc.h>
#include <sys/xattr.h>

#include "catch.h"
#include "files_support.h"

using namespace files_test;

namespace {

OpenPtr make_file(Host& host, const std::string& name, const std::string& text) {
  auto made = host.root->create(host.me, name, 0644, O_RDWR | O_CREAT).value();
  REQUIRE(write_text(*made.open, 0, text).value() == text.size());
  return made.open;
}

AttributeChange size_change(uint64_t size) {
  AttributeChange change;
  change.size = size;
  return change;
}

}  // namespace

TEST_CASE("reads and writes go where they say, past the end included") {
  Host host;
  auto file = make_file(host, "file", "0123456789");
  CHECK(write_text(*file, 3, "abc").value() == 3);
  CHECK(read_all(*file) == "012abc6789");
  std::string tail(100, '?');
  CHECK(file->read(8, std::as_writable_bytes(std::span(tail))).value() == 2);
  CHECK(file->read(10, std::as_writable_bytes(std::span(tail))).value() == 0);
  CHECK(write_text(*file, 12, "z").value() == 1);
  CHECK(get(host.tree.path("file")) == std::string("012abc6789\0\0z", 13));
  CHECK(file->flush());
  CHECK(file->fsync(true));
  CHECK(file->fsync(false));
}

TEST_CASE("an open file gives no more access than it was opened with") {
  Host host;
  make_file(host, "file", "text");
  auto reader = host.at("file")->open(host.me, O_RDONLY).value();
  CHECK(code(write_text(*reader, 0, "x")) == EBADF);
  CHECK(code(reader->transfer_end(Access::Write)) == EBADF);
  auto writer = host.at("file")->open(host.me, O_WRONLY | O_TRUNC).value();
  std::string text(4, '?');
  CHECK(code(writer->read(0, std::as_writable_bytes(std::span(text)))) == EBADF);
  CHECK(code(writer->transfer_end(Access::Read)) == EBADF);
  CHECK(get(host.tree.path("file")) == "text");  // truncation is the kernel's to ask for
}

TEST_CASE("O_APPEND writes land at the end whoever else appends") {
  Host host;
  make_file(host, "log", "a");
  auto appender = host.at("log")->open(host.me, O_WRONLY | O_APPEND).value();
  CHECK(appender->direct_io());
  CHECK_FALSE(host.at("log")->open(host.me, O_WRONLY).value()->direct_io());
  CHECK(write_text(*appender, 1, "b"));
  std::ofstream(host.tree.path("log"), std::ios::app) << "c";
  CHECK(write_text(*appender, 2, "d"));  // the client's kernel thinks the file ends at 2
  CHECK(get(host.tree.path("log")) == "abcd");
}

TEST_CASE("O_DIRECT of a client does not reach the host") {
  Host host;
  make_file(host, "file", "text");
  auto file = host.at("file")->open(host.me, O_RDWR | O_DIRECT | O_NONBLOCK | O_NOFOLLOW).value();
  CHECK(read_all(*file) == "text");  // with O_DIRECT the length alone would be EINVAL
}

TEST_CASE("an open file lives on when its name is gone") {
  Host host;
  auto file = make_file(host, "file", "text");
  const NodePtr node = host.at("file");
  SECTION("unlinked by the client") {
    REQUIRE(host.root->unlink(host.me, "file"));
  }
  SECTION("unlinked on the host") {
    REQUIRE(::unlink(host.tree.path("file").c_str()) == 0);
  }
  SECTION("replaced by a rename") {
    make_file(host, "other", "other");
    REQUIRE(host.root->rename(host.me, "other", *host.root, "file", 0));
  }
  // fstat, fchmod and ftruncate come without an open file as often as not.
  CHECK(node->getattr(host.me, nullptr)->st_nlink == 0);
  AttributeChange mode;
  mode.mode = S_IFREG | 0600;
  CHECK(node->setattr(host.me, mode, nullptr));
  CHECK(node->setattr(host.me, size_change(2), file.get()));
  CHECK(read_all(*file) == "te");
  CHECK(node->getattr(host.me, file.get())->st_mode == (S_IFREG | 0600));
  CHECK(read_all(*node->open(host.me, O_RDONLY).value()) == "te");  // /proc/PID/fd/N
  CHECK(code(host.root->link(host.me, *node, "again")) == ENOENT);
  file.reset();
  CHECK(node->getattr(host.me, nullptr)->st_nlink == 0);
}

TEST_CASE("truncation follows the open file where there is one") {
  Host host;
  auto file = make_file(host, "file", "text");
  const NodePtr node = host.at("file");
  CHECK(node->setattr(host.me, size_change(10), nullptr));
  CHECK(read_all(*file) == std::string("text\0\0\0\0\0\0", 10));
  CHECK(node->setattr(host.me, size_change(0), file.get()));
  CHECK(node->getattr(host.me, nullptr)->st_size == 0);
}

TEST_CASE("owner, mode, size and times change together") {
  Host host;
  make_file(host, "file", "text");
  AttributeChange change;
  change.uid = 1234;
  change.gid = 4321;
  change.mode = S_IFREG | 04711;
  change.size = 2;
  change.atime = timespec{100, 1};
  change.mtime = timespec{200, 2};
  REQUIRE(host.at("file")->setattr(host.me, change, nullptr));
  struct stat st {};
  REQUIRE(::stat(host.tree.path("file").c_str(), &st) == 0);
  CHECK(st.st_uid == 1234);
  CHECK(st.st_gid == 4321);
  CHECK(st.st_mode == (S_IFREG | 04711));
  CHECK(st.st_size == 2);
  CHECK(st.st_atim.tv_sec == 100);
  CHECK(st.st_mtim.tv_nsec == 2);
  AttributeChange now;
  now.mtime = timespec{0, UTIME_NOW};
  REQUIRE(host.at("file")->setattr(host.me, now, nullptr));
  REQUIRE(::stat(host.tree.path("file").c_str(), &st) == 0);
  CHECK(st.st_atim.tv_sec == 100);
  CHECK(st.st_mtim.tv_sec > 200);
}

TEST_CASE("holes are seen and made as on the host") {
  Host host;
  auto made = host.root->create(host.me, "sparse", 0600, O_RDWR | O_CREAT).value();
  OpenFile& file = *made.open;
  constexpr uint64_t kMiB = 1 << 20;
  REQUIRE(made.node->setattr(host.me, size_change(3 * kMiB), nullptr));
  REQUIRE(write_text(file, kMiB, std::string(kMiB, 'x')));
  CHECK(file.lseek(0, SEEK_DATA).value() == kMiB);
  CHECK(file.lseek(kMiB, SEEK_HOLE).value() == 2 * kMiB);
  CHECK(code(file.lseek(2 * kMiB, SEEK_DATA)) == ENXIO);
  CHECK(code(file.lseek(0, SEEK_END)) == EINVAL);

  CHECK(file.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kMiB, kMiB / 2));
  CHECK(file.lseek(0, SEEK_DATA).value() == kMiB + kMiB / 2);
  CHECK(file.fallocate(FALLOC_FL_KEEP_SIZE, 0, 8 * kMiB));
  CHECK(made.node->getattr(host.me, nullptr)->st_size == 3 * kMiB);
  CHECK(file.fallocate(0, 0, 4 * kMiB));
  CHECK(made.node->getattr(host.me, nullptr)->st_size == 4 * kMiB);
  CHECK(static_cast<uint64_t>(made.node->getattr(host.me, nullptr)->st_blocks) * 512 >= 4 * kMiB);
  CHECK(code(file.fallocate(1 << 20, 0, kMiB)) == EOPNOTSUPP);
}

TEST_CASE("extended attributes are the host's") {
  Host host;
  make_file(host, "file", "");
  const NodePtr node = host.at("file");
  const std::string path = host.tree.path("file");
  const bool supported = ::setxattr(path.c_str(), "user.probe", "", 0, 0) == 0;
  if (!supported) {
    CHECK(code(node->setxattr(host.me, "user.note", "text", 0)) == ENOTSUP);
    return;
  }
  REQUIRE(::removexattr(path.c_str(), "user.probe") == 0);
  CHECK(code(node->getxattr(host.me, "user.note")) == ENODATA);
  CHECK(node->listxattr(host.me)->empty());
  const std::string value("a\0b", 3);
  REQUIRE(node->setxattr(host.me, "user.note", value, XATTR_CREATE));
  CHECK(code(node->setxattr(host.me, "user.note", value, XATTR_CREATE)) == EEXIST);
  CHECK(code(node->setxattr(host.me, "user.other", value, XATTR_REPLACE)) == ENODATA);
  REQUIRE(node->setxattr(host.me, "user.empty", "", 0));
  char read[8];
  CHECK(::getxattr(path.c_str(), "user.note", read, sizeof read) == 3);
  CHECK(node->getxattr(host.me, "user.note").value() == value);
  CHECK(node->getxattr(host.me, "user.empty").value().empty());
  auto names = node->listxattr(host.me).value();
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"user.empty", "user.note"});
  CHECK(node->removexattr(host.me, "user.note"));
  CHECK(code(node->removexattr(host.me, "user.note")) == ENODATA);
  // A symbolic link has its own, which users may not set; nothing reaches the file it points to.
  REQUIRE(::symlink("file", host.tree.path("link").c_str()) == 0);
  CHECK(code(host.at("link")->setxattr(host.me, "user.note", "x", 0)) == EPERM);
  CHECK(code(host.at("link")->getxattr(host.me, "user.empty")) != 0);
}

TEST_CASE("a file is an end of a transfer with its direct descriptor") {
  Host host;
  make_file(host, "file", "text");
  auto writer = host.at("file")->open(host.me, O_WRONLY).value();
  const End opened = writer->transfer_end(Access::Write).value();
  FileEnd* const end = opened.file();
  CHECK(end->name() == host.tree.path("file"));
  CHECK(end->size().value() == 4);
  const UniqueFd direct(::open(host.tree.path("file").c_str(), O_WRONLY | O_DIRECT));
  const FileEnd plain(::open(host.tree.path("file").c_str(), O_WRONLY), UniqueFd(), "", true);
  CHECK((end->direct_fd() >= 0) == (plain.direct_fd() >= 0));
  CHECK(writer->transfer_end(Access::Write).value().file() == end);  // what it learned stays
}

TEST_CASE("passthrough is offered in a private mount only") {
  Host shared;
  CHECK(make_file(shared, "file", "")->passthrough_fd() == -1);
  MountSettings settings;
  settings.private_mount = true;
  Host own(settings);
  auto file = make_file(own, "file", "text");
  char byte = 0;
  REQUIRE(file->passthrough_fd() >= 0);
  CHECK(::pread(file->passthrough_fd(), &byte, 1, 3) == 1);
  settings.passthrough = false;
  Host without(settings);
  CHECK(make_file(without, "file", "")->passthrough_fd() == -1);
}
