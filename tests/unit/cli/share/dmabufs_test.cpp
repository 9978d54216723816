// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/share/dmabufs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "catch.h"

using namespace dmabuffs::cli;

namespace {

/// A made-up /proc.
struct Proc {
  std::string path;
  Proc() {
    char name[] = "/tmp/proc-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
    put("uptime", "1 1\n");
  }
  ~Proc() { std::filesystem::remove_all(path); }
  Proc(const Proc&) = delete;
  Proc& operator=(const Proc&) = delete;

  void put(const std::string& file, const std::string& text) const {
    const std::filesystem::path whole = path + "/" + file;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  void process(int pid, const std::string& command, const std::string& maps = "") const {
    const std::string at = std::to_string(pid) + "/";
    std::filesystem::create_directories(path + "/" + at + "fd");
    put(at + "comm", command + "\n");
    put(at + "maps", maps);
  }
  void descriptor(int pid, int fd, const std::string& link, const std::string& info) const {
    const std::string at = std::to_string(pid);
    std::filesystem::create_symlink(link, path + "/" + at + "/fd/" + std::to_string(fd));
    put(at + "/fdinfo/" + std::to_string(fd), info);
  }
};

const std::string kInfo =
    "pos:\t0\nflags:\t02\nmnt_id:\t14\nino:\t77\nsize:\t8192\ncount:\t3\nexp_name:\tudmabuf\nname:\ta "
    "frame\n";

}  // namespace

TEST_CASE("dma-bufs are found by who has them open or mapped") {
  const Proc proc;
  proc.process(20, "npu",
               "7f0000000000-7f0000002000 rw-s 00000000 00:0c 77    /dmabuf:a frame\n"
               "7f0000003000-7f0000004000 rw-s 00000000 00:0c 77    /dmabuf:a frame\n"
               "7f0000005000-7f0000006000 r--p 00000000 08:01 9     /home/dmabuf:x\n"
               "7f0000007000-7f0000008000 r--p 00000000 08:01 9     /home/a 78 /dmabuf:x\n");
  proc.process(10, "daemon");
  proc.descriptor(10, 5, "/dmabuf:a frame", kInfo);
  proc.descriptor(10, 8, "/dmabuf:a frame", kInfo);
  proc.descriptor(10, 6, "/home/dmabuf:x", kInfo);
  proc.descriptor(10, 7, "/dmabuf:", "ino:\t9\n");  // no dma-buf, whatever it is called
  const DmabufList all = find_dmabufs(std::nullopt, proc.path);
  REQUIRE(all.by_inode.size() == 1);
  const Dmabuf& found = all.by_inode.at(77);
  CHECK(found.size == 8192);
  CHECK(found.exporter == "udmabuf");
  CHECK(found.name == "a frame");
  REQUIRE(found.holders.size() == 2);
  CHECK(found.holders[0].pid == 10);
  CHECK(found.holders[0].descriptors.size() == 2);
  CHECK(found.holders[1].command == "npu");
  CHECK(found.holders[1].mappings == 2);
  CHECK(find_dmabufs(20, proc.path).by_inode.at(77).holders.size() == 1);
}

TEST_CASE("a dma-buf's name with newlines in it changes nothing else that is told of it") {
  const Proc proc;
  proc.process(10, "daemon");
  proc.descriptor(10, 5, "/dmabuf:x", kInfo + "size:\t1\nexp_name:\tforged\nino:\t78\n");
  const DmabufList all = find_dmabufs(std::nullopt, proc.path);
  REQUIRE(all.by_inode.size() == 1);
  const Dmabuf& found = all.by_inode.at(77);
  CHECK(found.size == 8192);
  CHECK(found.exporter == "udmabuf");
}

TEST_CASE("dma-bufs of processes that may not be looked into are not shown, and how many those are is") {
  if (::geteuid() == 0) return;  // who may look into all
  const Proc proc;
  proc.process(10, "another's");
  REQUIRE(::chmod((proc.path + "/10/fd").c_str(), 0) == 0);
  CHECK(find_dmabufs(std::nullopt, proc.path).hidden == 1);
}

TEST_CASE("a dma-buf of ps --json has the promised members, and no others") {
  Dmabuf dmabuf{8192, "udmabuf", "model", "/run/buf/heaps/udmabuf/model", {{812, "npu", {27}, 2}}};
  CHECK(to_json(77, dmabuf).dump() ==
        R"({"exporter":"udmabuf","holders":[{"command":"npu","descriptors":[27],"mappings":2,"pid":812}],)"
        R"("inode":77,"name":"model","path":"/run/buf/heaps/udmabuf/model","size":8192})");
  dmabuf.path.clear();
  CHECK(to_json(77, dmabuf).at("path").is_null());
}
