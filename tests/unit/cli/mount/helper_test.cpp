// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include "catch.h"
#include "dmabuffs/cli/commands.h"

using namespace dmabuffs::cli;
using Words = std::vector<std::string>;

namespace {

/// argv as main gets it.
struct Arguments {
  explicit Arguments(Words w) : words(std::move(w)) {
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
  }
  [[nodiscard]] bool is_helper() { return is_mount_helper(static_cast<int>(words.size()), pointers.data()); }
  [[nodiscard]] Words translated() {
    return from_mount_helper(static_cast<int>(words.size()), pointers.data());
  }
  Words words;
  std::vector<char*> pointers;
};

bool is_helper(Words words) {
  return Arguments(std::move(words)).is_helper();
}
Words translate(Words words) {
  return Arguments(std::move(words)).translated();
}

}  // namespace

TEST_CASE("the program knows when mount(8) called it") {
  CHECK(is_helper({"/sbin/mount.dmabuffs", "none", "/mnt"}));
  CHECK(is_helper({"mount.fuse.dmabuffs", "none", "/mnt", "-o", "rw"}));
  CHECK(is_helper({"dmabuffs", "none", "/mnt", "-o", "rw,dev,suid"}));
  CHECK(is_helper({"/usr/bin/dmabuffs", "/data", "/mnt", "-orw"}));
}

TEST_CASE("an ordinary command line is not taken for mount(8)'s") {
  CHECK_FALSE(is_helper({"dmabuffs"}));
  CHECK_FALSE(is_helper({"dmabuffs", "mount", "/mnt", "-o", "rw"}));
  CHECK_FALSE(is_helper({"dmabuffs", "cp", "a", "b"}));
  CHECK_FALSE(is_helper({"dmabuffs", "cp", "a", "-o"}));
  CHECK_FALSE(is_helper({"dmabuffs", "unknown", "/mnt"}));
  CHECK_FALSE(is_helper({"dmabuffs", "--version", "/mnt", "-o"}));
}

TEST_CASE("the source becomes the mount's name") {
  CHECK(translate({"mount.dmabuffs", "none", "/mnt"}) == Words{"mount", "-o", "fsname=none", "/mnt"});
  CHECK(translate({"mount.dmabuffs", "", "/mnt"}) == Words{"mount", "/mnt"});
  CHECK(translate({"mount.dmabuffs", "a,b\\c", "/mnt"}) == Words{"mount", "-o", "fsname=a\\,b\\\\c", "/mnt"});
}

TEST_CASE("what mount(8) has in quotes stays one option") {
  CHECK(translate({"mount.dmabuffs", "x", "/mnt", "-o", "heap=\"linux,cma\",ro"}) ==
        Words{"mount", "-o", "fsname=x,heap=linux\\,cma,ro", "/mnt"});
}

TEST_CASE("a quote that is not closed is left for mount to refuse") {
  CHECK(translate({"mount.dmabuffs", "x", "/mnt", "-o", "heap=\"a,ro"}) ==
        Words{"mount", "-o", ",heap=\"a,ro", "/mnt"});
}

TEST_CASE("the options of dmabuffs and of the kernel are passed on as they are") {
  CHECK(translate({"mount.dmabuffs", "x", "/mnt", "-o", "ro,nosuid,size=2G,files=d=/a\\,b,files=e=/e"}) ==
        Words{"mount", "-o", "fsname=x,ro,nosuid,size=2G,files=d=/a\\,b,files=e=/e", "/mnt"});
  CHECK(translate({"mount.dmabuffs", "x", "/mnt", "-o", "noatime", "-oheap=udmabuf:huge=never"}) ==
        Words{"mount", "-o", "fsname=x,noatime,heap=udmabuf:huge=never", "/mnt"});
}

TEST_CASE("options meant for mount(8) and systemd are dropped") {
  CHECK(
      translate({"mount.dmabuffs", "x", "/mnt", "-o",
                 "rw,defaults,noauto,nofail,_netdev,user,users,owner,group,x-systemd.automount,X-mount.mkdir,"
                 "comment=a,recycle=1G"}) == Words{"mount", "-o", "fsname=x,recycle=1G", "/mnt"});
}

TEST_CASE("the switches of mount(8) are understood") {
  CHECK(translate({"mount.dmabuffs", "x", "/mnt", "-n", "-s", "-v", "-t", "fuse.dmabuffs"}) ==
        Words{"mount", "-o", "fsname=x", "/mnt"});
  SECTION("a rehearsal does nothing") {
    CHECK(translate({"mount.dmabuffs", "x", "/mnt", "-f"}).empty());
  }
  SECTION("what is unknown is left for `mount` to refuse") {
    CHECK(translate({"mount.dmabuffs", "x", "/mnt", "-Q"}) == Words{"mount", "-o", "fsname=x", "-Q", "/mnt"});
  }
}

TEST_CASE("a mount point handed over as a descriptor passes through") {
  CHECK(translate({"mount.dmabuffs", "x", "/dev/fd/3", "-o", "rw"}).back() == "/dev/fd/3");
}

TEST_CASE("a missing mount point is left for `mount` to complain about") {
  CHECK(translate({"mount.dmabuffs", "x"}) == Words{"mount", "-o", "fsname=x"});
  CHECK(translate({"mount.dmabuffs"}) == Words{"mount"});
}

namespace {
bool no_buffer(const std::string&) {
  return false;
}
}  // namespace

TEST_CASE("exec's command is cut off unchanged at the first --") {
  Words words = {"exec", "--files", "d=/d", "--", "tool", "[a,b]", "--", "-x", ""};
  CHECK(cut_command(words, no_buffer) == Words{"tool", "[a,b]", "--", "-x", ""});
  CHECK(words == Words{"exec", "--files", "d=/d"});
}

TEST_CASE("exec's command begins at the first word that is no option, also without --") {
  Words words = {"exec", "--files", "d=/d", "-oro", "--heap=memfd", "-o", "--", "sh", "-c", "ls", "--", "-x"};
  CHECK(cut_command(words, no_buffer) == Words{"sh", "-c", "ls", "--", "-x"});
  CHECK(words == Words{"exec", "--files", "d=/d", "-oro", "--heap=memfd", "-o", "--"});
  words = {"exec", "--require-direct", "--", "--help"};
  CHECK(cut_command(words, no_buffer) == Words{"--help"});
  words = {"exec", "--help"};
  CHECK(cut_command(words, no_buffer).empty());
  words = {"exec", "-o"};
  CHECK(cut_command(words, no_buffer).empty());
}

TEST_CASE("exec's buffers stand before a --, and are told by what they are, or by --fd") {
  const auto is_buffer = [](const std::string& word) { return word.starts_with("buf/"); };
  Words words = {"exec", "--huge", "buf/a", "x=buf/b", "--", "tool", "--", "-x"};
  CHECK(cut_command(words, is_buffer) == Words{"tool", "--", "-x"});
  CHECK(words == Words{"exec", "--huge", "buf/a", "x=buf/b"});
  words = {"exec", "git", "checkout", "--", "buf/a"};
  CHECK(cut_command(words, is_buffer) == Words{"git", "checkout", "--", "buf/a"});
  CHECK(words == Words{"exec"});
  words = {"exec", "--fd", "else/a", "--", "tool"};
  CHECK(cut_command(words, is_buffer) == Words{"tool"});
  CHECK(words == Words{"exec", "--fd", "else/a"});
  words = {"exec", "buf/a", "tool"};
  CHECK(cut_command(words, is_buffer) == Words{"buf/a", "tool"});
}

TEST_CASE("for an option that only cp(1) has there is advice") {
  const auto advice = [](const Words& words) { return advice_on_cp(words).value_or(""); };
  CHECK(advice({"cp", "-a", "b", "c"}).find("-rp") != std::string::npos);
  CHECK(advice({"cp", "-rvn", "b", "c"}).find("plain `cp -n`") != std::string::npos);
  CHECK(advice({"cp", "b", "c", "--sparse=never"}).find("plain `cp --sparse=never`") != std::string::npos);
  CHECK(advice({"cp", "--target-directory=x", "b"}).find("SRC... DIR") != std::string::npos);
  CHECK(advice({"cp", "-s", "b", "c"}) ==
        "there is no option -s; files are copied; for symbolic links, in a heap, too, use plain `cp -s`");
  CHECK(advice({"cp", "--preserve=mode", "b", "c"}).find("plain `cp --preserve=mode`") != std::string::npos);
  for (const char* direct :
       {"-a", "-n", "-u", "-i", "-b", "-T", "-L", "--parents", "--backup=t", "--no-preserve=mode"})
    CHECK(advice({"cp", direct, "b", "c"})
              .ends_with("which is direct, too, between files/ and heaps/ of one mount"));
  for (const char* other :
       {"-l", "-s", "--sparse=always", "--reflink", "--attributes-only", "-t", "--debug"}) {
    CHECK(advice({"cp", other, "b", "c"}).starts_with("there is no option "));
    CHECK(advice({"cp", other, "b", "c"}).find("direct, too") == std::string::npos);
  }
  CHECK(advice({"cp", "-rRfpvh", "--preserve", "--require-direct", "--no-progress", "--json", "b", "c"})
            .empty());
  CHECK(advice({"cp", "--", "-a", "c"}).empty());
  CHECK(advice({"info", "-a"}).empty());
}

TEST_CASE("other commands keep their --") {
  Words words = {"cp", "--", "-a", "b"};
  CHECK(cut_command(words, no_buffer).empty());
  CHECK(words == Words{"cp", "--", "-a", "b"});
}

TEST_CASE("operands that look like options or lists become plain paths") {
  Words words = {"cp", "[a,b]", "c", "--json", "--", "-d", "--", "e"};
  guard_operands(words);
  CHECK(words == Words{"cp", "./[a,b]", "c", "--json", "./-d", "./--", "e"});
}
