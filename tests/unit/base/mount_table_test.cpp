// SPDX-License-Identifier: MIT
// What is known of the host's mounts without asking them.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "catch.h"
#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/tree/files/host_dir.h"
#include "files_support.h"

using namespace files_test;

namespace {

std::string type_at(MountTypes& types, const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  const auto identity = identify(fd.get());
  return identity ? types.type_of(identity->mount) : "?";
}

}  // namespace

TEST_CASE("the type of a mount is known from the mount table") {
  MountTypes types;
  CHECK(type_at(types, "/proc") == "proc");
  CHECK(types.type_of(0xffff'ffff).empty());
  CHECK(type_at(types, "/proc") == "proc");
}

TEST_CASE("a mount made later is known at once, also under a number that was another's") {
  if (::geteuid() != 0) return;  // mounting needs root
  const ScratchDirectory scratch;
  MountTypes types;
  CHECK(type_at(types, "/proc") == "proc");
  for (const char* type : {"tmpfs", "ramfs", "tmpfs"}) {
    if (::mount("none", scratch.path().c_str(), type, 0, "") != 0)
      return;  // a container may not let even root
    CHECK(type_at(types, scratch.path()) == type);
    ::umount2(scratch.path().c_str(), MNT_DETACH);
  }
}

TEST_CASE("file systems served by a process are told by their type") {
  CHECK(is_fuse("fuse"));
  CHECK(is_fuse("fuseblk"));
  CHECK(is_fuse("fuse.sshfs"));
  CHECK_FALSE(is_fuse("fusectl"));
  CHECK_FALSE(is_fuse("virtiofs"));
  CHECK_FALSE(is_fuse(""));
}
