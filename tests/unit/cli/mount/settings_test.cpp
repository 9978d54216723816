// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/mount/settings.h"
#include "catch.h"

using namespace dmabuffs;
using namespace dmabuffs::cli;

TEST_CASE("sizes are written as people write them") {
  CHECK(*parse_size("4096") == 4096);
  CHECK(*parse_size("512M") == 512u << 20);
  CHECK(*parse_size("1.5G") == 1536u << 20);
  CHECK(*parse_size("2GiB") == uint64_t{2} << 30);
  CHECK(*parse_size("1k") == 1024);
  CHECK(*parse_size("50%") == machine_memory() / 2);
  CHECK(*parse_size("100%") == machine_memory());
  for (const char* wrong : {"", "G", "12Q", "-1", "1GB2", "0x10", "nan", "1e99", "101%", "150%"}) {
    CHECK_FALSE(parse_size(wrong));
  }
}

TEST_CASE("options are split at commas that no backslash protects") {
  CHECK(*split_options("a,b=c,,d") == std::vector<std::string>{"a", "b=c", "d"});
  CHECK(*split_options("files=x=/a\\,b,ro") == std::vector<std::string>{"files=x=/a,b", "ro"});
}

TEST_CASE("nor those in quotes, as mount(8) has them") {
  CHECK(*split_options("heap=\"linux,cma\",ro") == std::vector<std::string>{"heap=linux,cma", "ro"});
  CHECK(*split_options("files=d=\"/a,b\"") == std::vector<std::string>{"files=d=/a,b"});
  CHECK(*split_options("fsname=a\"b,ro") == std::vector<std::string>{"fsname=a\"b", "ro"});
  CHECK(*split_options("fsname=\\\"a,ro") == std::vector<std::string>{"fsname=\"a", "ro"});
  for (const char* option : {"a,b", "a=\"b,c", "a\\b"})
    CHECK(*split_options(escaped(option)) == std::vector<std::string>{option});
}

TEST_CASE("a quote that is never closed is refused") {
  MountWords words;
  words.mountpoint = "/m";
  SECTION("of an option") {
    words.options = {"heap_if_present=\"x,y"};
  }
  SECTION("of a heap's setting") {
    words.heaps = {"udmabuf:huge=\"never"};
  }
  const auto settings = understand(words);
  REQUIRE_FALSE(settings);
  CHECK(settings.error().code == EINVAL);
  CHECK(settings.error().message.find("is not closed; close it") != std::string::npos);
}

TEST_CASE("a heap's name may have commas") {
  MountWords words;
  words.mountpoint = "/m";
  words.heaps = {"linux,cma"};
  words.heaps_if_present = {"udmabuf:huge=never"};
  words.options = {"heap=vendor\\,one,heap=\"vendor,two\",heap_if_present=x"};
  const auto settings = understand(words);
  REQUIRE(settings);
  std::vector<std::string> names;
  for (const HeapOption& heap : settings->heaps) names.push_back((heap.if_present ? "?" : "") + heap.name);
  CHECK(names == std::vector<std::string>{"linux,cma", "vendor,one", "vendor,two", "?udmabuf", "?x"});
}

TEST_CASE("the words of mount become settings") {
  MountWords words;
  words.mountpoint = "/m";
  words.files = {"t=/tmp:ro"};
  words.heaps = {"udmabuf:huge=never"};
  words.options = {"size=1G,recycle=0", "noatime,atime,nofail,x-systemd.automount,no_passthrough,files=/usr"};
  const auto settings = understand(words);
  REQUIRE(settings);
  CHECK(settings->size == uint64_t{1} << 30);
  CHECK(settings->recycle == 0);
  CHECK_FALSE(settings->passthrough);
  CHECK(settings->fuse_options == std::vector<std::string>{"noatime"});
  REQUIRE(settings->files.size() == 2);
  CHECK(settings->files[0].name == "t");
  CHECK(settings->files[0].directory == "/tmp");
  CHECK(settings->files[0].read_only);
  CHECK_FALSE(settings->files[1].read_only);
  CHECK(settings->files[1].name == "usr");
  REQUIRE(settings->heaps.size() == 1);
  CHECK(settings->heaps[0].settings.at("huge") == "never");
}

TEST_CASE("a wrong word of mount is named in the error") {
  const auto error_of = [](const MountWords& words) {
    const auto settings = understand(words);
    return settings ? std::string() : settings.error().message;
  };
  MountWords words;
  words.options = {"sise=1G"};
  CHECK(error_of(words).find("sise=1G") != std::string::npos);
  words.options = {"size=4095"};
  CHECK(error_of(words).find("a page") != std::string::npos);
  words.options = {"size=150%"};
  CHECK(error_of(words).find("100% or less") != std::string::npos);
  for (const char* option : {"ro=1", "noatime=1", "no_passthrough=yes", "ro="}) {
    words.options = {option};
    CHECK(error_of(words).find(std::string(option) + ": ") != std::string::npos);
    CHECK(error_of(words).find("takes no value") != std::string::npos);
  }
  words.options = {"private,allow_other"};
  CHECK(error_of(words).find("private,allow_other: one of them") != std::string::npos);
  words.options = {"fsname="};
  CHECK(error_of(words).find("name is missing") != std::string::npos);
  words.options = {"heap="};
  CHECK(error_of(words) == "--heap '': a heap's name is missing");
  for (const char* option : {"files=", "files", "files=a="}) {
    words.options = {option};
    CHECK(error_of(words).find("directory is missing; write [NAME=]DIR") != std::string::npos);
  }
  words.options = {"size=lots"};
  CHECK(error_of(words).find("lots") != std::string::npos);
  words.options.clear();
  words.files = {"/tmp", "/usr/../tmp"};
  CHECK(error_of(words).find("'tmp' is taken") != std::string::npos);
  words.files = {"/no/such/directory"};
  CHECK(error_of(words).find("/no/such/directory") != std::string::npos);
  words.files = {"/etc/passwd"};
  CHECK(error_of(words).find("not a directory") != std::string::npos);
}
