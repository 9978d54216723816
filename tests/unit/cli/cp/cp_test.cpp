// SPDX-License-Identifier: MIT
// The parts of `dmabuffs cp` and its neighbours that need no mount.
#include "dmabuffs/control/client.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "catch.h"
#include "dmabuffs/cli/cp/file.h"
#include "dmabuffs/cli/cp/interrupt.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/heap/message.h"

using namespace dmabuffs;
using namespace dmabuffs::cli;

namespace {

struct Work {
  std::string path;
  Work() {
    char name[] = "/tmp/cp-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Work() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name, std::ios::binary) << text;
    return path + "/" + name;
  }
};

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("mounts of dmabuffs are found among others, whole ones first") {
  const auto mounts = dmabuffs_among(parse_mount_table(
      "22 1 0:21 / /proc rw,relatime - proc proc rw\n"
      "40 22 0:50 /heaps/system /srv/part rw,nosuid shared:7 master:3 - fuse.dmabuffs dmabuffs "
      "rw,user_id=1000,group_id=1000\n"
      "41 22 0:50 / /run/a\\040b\\134c rw,nosuid - fuse.dmabuffs dmabuffs rw,user_id=1000,group_id=1000\n"
      "42 22 0:51 / /mnt rw - fuse.sshfs host: rw,user_id=0\n"
      "broken line\n"));
  REQUIRE(mounts.size() == 2);
  CHECK(mounts[0].path == "/run/a b\\c");
  CHECK(mounts[0].root == "/");
  CHECK(mounts[0].owner == 1000);
  CHECK(mounts[0].device == makedev(0, 50));
  CHECK(mounts[1].path == "/srv/part");
  CHECK(mounts[1].root == "/heaps/system");
  CHECK(mount_of_device(mounts, makedev(0, 50)) == mounts.data());
  CHECK(mount_of_device(mounts, makedev(0, 51)) == nullptr);
}

TEST_CASE("a path that lies in no mount is named") {
  const auto mount = mount_of("/proc");
  REQUIRE_FALSE(mount);
  CHECK(mount.error().code == ENODEV);
  CHECK(mount.error().message == "/proc: not in a dmabuffs mount");
  CHECK(mount_of("/proc/none").error().code == ENOENT);
  CHECK(mount_of("").error().message == "'': No such file or directory");
  // Of another file system whose daemon has died.
  CHECK(path_error(ENOTCONN, "/mnt").value().message == "/mnt: Transport endpoint is not connected");
}

TEST_CASE("sizes and times are written for people") {
  CHECK(size_text(0) == "0 B");
  CHECK(size_text(1023) == "1023 B");
  CHECK(size_text(1024) == "1.0 KiB");
  CHECK(size_text(1536) == "1.5 KiB");
  CHECK(size_text((1 << 20) - 1) == "1.0 MiB");  // never "1024.0 KiB"
  CHECK(size_text(UINT64_MAX) == "16.0 EiB");
  CHECK(human_seconds(7) == "0:07");
  CHECK(human_seconds(3723) == "1:02:03");
  CHECK(table({{"A", "N"}, {"long", "7"}}, {1}) == "A     N\nlong  7\n");
  CHECK(table({{"x", ""}}, {}) == "x\n");
  CHECK(table({{"\u00e4", "1"}, {"bc", "2"}}, {}) == "\u00e4   1\nbc  2\n");
  CHECK(shortened("123456789", 9, 3) == "123456789");
  CHECK(shortened("1234567890", 9, 3) == "123\u202667890");
  CHECK(shortened("\u00e41\u00e42\u00e43\u00e44", 5, 2) == "\u00e41\u2026\u00e44");
}

TEST_CASE("names with control characters are written for people as ls -b would") {
  CHECK(escape_name("plain name") == "plain name");
  CHECK(escape_name("a\nb\tc\033[2J\\\x7f") == "a\\nb\\tc\\033[2J\\\\\\177");
  CHECK(escape_name("Gr\u00fc\u00dfe \u65e5\u672c \U0001f600") == "Gr\u00fc\u00dfe \u65e5\u672c \U0001f600");
  CHECK(escape_name("\xff\xc3") == "\\377\\303");
  CHECK(escape_name("\xc2\x9b"
                    "0m") == "\\302\\2330m");  // a control character, too (CSI)
  CHECK(escape_name("\xc0\xaf\xed\xa0\x80") == "\\300\\257\\355\\240\\200");  // overlong, surrogate
  CHECK(escape_controls("a\\b\r") == "a\\b\\r");
}

TEST_CASE("the progress line fits the terminal and keeps the numbers") {
  const std::string name(200, 'n');
  const std::string line = Progress::line(name + "END", 50 << 20, 100 << 20, 2, 60);
  CHECK(line.size() == 60 + 2);  // the three bytes of … are one column
  CHECK(line.starts_with("\u2026nnn"));
  CHECK(line.find("END  50.0 MiB / 100.0 MiB  25.0 MiB/s  0:02 left") != std::string::npos);
  CHECK(Progress::line("x", 5, 0, 1, 80) == "x  5 B  5 B/s");  // a pipe: no total, no time left
  CHECK(Progress::line("x", 0, 100, 1, 80) == "x  0 B / 100 B  0 B/s");
  CHECK(Progress::line("x", 50 << 20, 100 << 20, 2, 10).size() == 10);
}

TEST_CASE("what several files took is summed by path and by reason") {
  CopyTally sum;
  sum.add_reply({{"ok", true},
                 {"bytes", 10},
                 {"paths", {{"buffered", 4}, {"pinned-direct", 6}}},
                 {"reasons", {{{"path", "buffered"}, {"why", "a tail"}, {"bytes", 4}}}}});
  CopyTally other;
  other.add_reply({{"bytes", 3},
                   {"paths", {{"buffered", 3}}},
                   {"reasons", {{{"path", "buffered"}, {"why", "a tail"}, {"bytes", 3}}}}});
  sum.add(other);
  CHECK(sum.bytes == 13);
  CHECK(sum.paths["buffered"] == 7);
  CHECK(sum.paths["pinned-direct"] == 6);
  REQUIRE(sum.reasons.size() == 1);
  CHECK(sum.reasons[0].bytes == 7);
  sum.add_reply({{"bytes", "x"}, {"paths", 3}, {"reasons", {1, "a"}}});  // a daemon gone mad changes nothing
  CHECK(sum.bytes == 13);
  CHECK(sum.reasons.size() == 1);
}

TEST_CASE("a signal while a copy runs is read, and an ignored one stays ignored") {
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  REQUIRE(::sigaction(SIGHUP, &ignore, &before) == 0);
  {
    Interrupt interrupt;
    CHECK(interrupt.take() == 0);
    REQUIRE(::raise(SIGHUP) == 0);
    CHECK(interrupt.take() == 0);
    REQUIRE(::raise(SIGTERM) == 0);
    CHECK(interrupt.take() == SIGTERM);
    CHECK(interrupt.take() == 0);
  }
  REQUIRE(::sigaction(SIGHUP, &before, nullptr) == 0);
  sigset_t now;
  REQUIRE(::pthread_sigmask(SIG_BLOCK, nullptr, &now) == 0);
  CHECK(sigismember(&now, SIGTERM) == 0);
}

TEST_CASE("files outside any mount are copied by the host's own copy_file_range") {
  const Work work;
  FileCopier copier({}, {});
  CopyTally tally;
  const std::string from = work.file("from", std::string(100000, 'a'));
  REQUIRE(copier.copy(from, work.path + "/to", tally));
  CHECK(content(work.path + "/to") == content(from));
  CHECK(tally.bytes == 100000);
  CHECK(tally.paths["file-copy"] == 100000);

  SECTION("but a file is not copied onto itself, by whatever name") {
    REQUIRE(::link(from.c_str(), (work.path + "/link").c_str()) == 0);
    for (const std::string& name : {from, work.path + "/link", work.path + "/./from"}) {
      const auto copied = copier.copy(from, name, tally);
      REQUIRE_FALSE(copied);
      CHECK(copied.error().message.find("are the same file") != std::string::npos);
    }
    CHECK(content(from).size() == 100000);
  }
  SECTION("and two sources don't end in one destination") {
    const auto copied = copier.copy(work.file("other", "b"), work.path + "/to", tally);
    REQUIRE_FALSE(copied);
    CHECK(copied.error().code == EEXIST);
    CHECK(content(work.path + "/to").size() == 100000);
  }
}

TEST_CASE("--require-direct refuses what can only be read and written, not what is empty") {
  const Work work;
  CopyOptions options;
  options.require_direct = true;
  FileCopier copier(options, {});
  CopyTally tally;
  const auto copied = copier.copy("/proc/self/mountinfo", work.path + "/to", tally);
  REQUIRE_FALSE(copied);
  CHECK(copied.error().code == EIO);
  CHECK(tally.bytes == 0);
  CHECK(copier.copy(work.file("empty", ""), work.path + "/to.empty", tally));
}

TEST_CASE("a destination that can't be opened is replaced only when asked to") {
  if (::geteuid() == 0) return;  // root opens anything
  const Work work;
  const std::string from = work.file("from", "new"), to = work.file("to", "old");
  REQUIRE(::chmod(to.c_str(), 0444) == 0);
  CopyTally tally;
  CHECK(FileCopier({}, {}).copy(from, to, tally).error().code == EACCES);
  CopyOptions options;
  options.force = true;
  CHECK(FileCopier(options, {}).copy(from, to, tally));
  CHECK(content(to) == "new");
}
