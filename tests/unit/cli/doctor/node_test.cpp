// SPDX-License-Identifier: MIT
#include <sys/stat.h>
#include <unistd.h>

#include "catch.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;
using namespace doctor_test;

TEST_CASE(
    "doctor: a device that is not there gets the line that brings it, or the reason why there is none") {
  MadeUp made;
  SECTION("built without it") {
    CHECK(made.check("udmabuf").state == CheckState::Missing);
    CHECK(contains(made.check("udmabuf").detail, "CONFIG_UDMABUF"));
    CHECK(made.check("udmabuf").fix.empty());
    CHECK(contains(made.check("dma-heaps").detail, "CONFIG_DMABUF_HEAPS"));
  }
  SECTION("a module that is not loaded") {
    made.put("/lib/modules/6.12.1-amd64/modules.dep", "kernel/drivers/dma-buf/udmabuf.ko.xz:\n");
    CHECK(made.check("udmabuf").fix == "modprobe udmabuf");
  }
  SECTION("the kernel has it and this /dev does not") {
    made.put("/sys/class/misc/udmabuf/dev", "10:125\n");
    CHECK(made.check("udmabuf").fix == "mknod -m 0660 /dev/udmabuf c 10 125");
    made.put("/sys/class/dma_heap/system/dev", "252:0\n");
    CHECK(made.check("dma-heaps").fix ==
          "mkdir -p /dev/dma_heap && mknod -m 0660 /dev/dma_heap/system c 252 0");
  }
}

TEST_CASE("doctor: what a container lacks it is given from outside, not by mknod") {
  MadeUp made;
  made.machine.container = "podman";
  made.put("/sys/class/misc/udmabuf/dev", "10:125\n");
  CHECK(made.check("udmabuf").fix.empty());
  CHECK(contains(made.check("udmabuf").detail, "--device /dev/udmabuf"));
  CHECK(contains(made.check("dma-heaps").detail, "--device /dev/dma_heap/system"));
  made.machine.container = "chroot";
  CHECK(made.check("udmabuf").fix == "mknod -m 0660 /dev/udmabuf c 10 125");
}

TEST_CASE(
    "doctor: a device that is there and can't be opened: each reason has its own mend, and none is a guess") {
  MadeUp made;
  made.udmabuf("64");
  SECTION("the rules for devices of a container") {
    made.machine.container = "docker";
    made.refuse("/dev/udmabuf", EPERM);
    CHECK(contains(made.check("udmabuf").detail, "--device /dev/udmabuf"));
    made.refuse("/dev/udmabuf", ENODEV);
    CHECK(contains(made.check("udmabuf").detail, "load it on the host (modprobe udmabuf)"));
  }
  SECTION("nothing drives it") {
    made.refuse("/dev/udmabuf", ENODEV);
    CHECK(contains(made.check("udmabuf").detail,
                   "/dev/udmabuf has no driver: kernel 6.12.1-amd64 is built without"));
    CHECK_FALSE(contains(made.check("udmabuf").detail, "apt install"));
  }
  SECTION("its mode is not what keeps root out") {
    made.machine.user = "root";
    made.refuse("/dev/udmabuf");
    CHECK(contains(made.check("udmabuf").detail, "nodev"));
  }
  SECTION("anything else is said as it is") {
    made.refuse("/dev/udmabuf", EBUSY);
    CHECK(made.check("udmabuf").detail == "/dev/udmabuf: Device or resource busy");
  }
  CHECK(made.check("udmabuf").state == CheckState::Missing);
  CHECK(made.check("udmabuf").fix.empty());
}

TEST_CASE("doctor: Debian 12's own kernel has none; its archive has one that does") {
  MadeUp made;
  made.put("/etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
  made.machine.kernel = "6.1.0-40-cloud-amd64";
  CHECK(made.check("udmabuf").detail.ends_with("boot one that has it: apt install linux-image-6.12-amd64"));
  CHECK(made.check("udmabuf").fix.empty());  // it takes a reboot
}

TEST_CASE("doctor: a device that may not be opened gets the line that permits it") {
  MadeUp made;
  made.put("/dev/dma_heap/system");
  made.refuse("/dev/dma_heap/system");
  CHECK_FALSE(made.heap("system").usable);
  CHECK(made.heap("system").path.empty());
  CHECK_FALSE(diagnose(made.machine).direct);
  SECTION("no group has it: an access control list") {
    CHECK(made.check("dma-heap:system").fix == "setfacl -m u:alice:rw /dev/dma_heap/system");
    made.put("/usr/bin/apt-get");
    CHECK(made.check("dma-heap:system").fix ==
          "apt-get install -y acl && setfacl -m u:alice:rw /dev/dma_heap/system");
  }
  SECTION("udev's rule came after the node: udev gives it to the rule's group") {
    made.put("/lib/udev/rules.d/60-dmabuffs.rules");
    made.put("/run/udev/control");
    CHECK(made.check("dma-heap:system").fix == "udevadm trigger --settle /dev/dma_heap/system");
  }
  SECTION("its group is none here: the container has to keep it") {
    struct stat node {};
    REQUIRE(::stat((made.machine.root + "/dev/dma_heap/system").c_str(), &node) == 0);
    made.put("/proc/sys/kernel/overflowuid", std::to_string(node.st_uid) + "\n");
    made.put("/proc/sys/kernel/overflowgid", std::to_string(node.st_gid) + "\n");
    CHECK(made.check("dma-heap:system").fix.empty());
    CHECK(contains(made.check("dma-heap:system").detail, "--group-add keep-groups"));
  }
  if (::geteuid() != 0) return;  // changing the group to an arbitrary one needs root
  made.put("/dev/dma_heap/system", "", 0660);
  REQUIRE(::chown((made.machine.root + "/dev/dma_heap/system").c_str(), 0, 54321) == 0);
  SECTION("a group has it: join the group") {
    CHECK(made.check("dma-heap:system").fix == "usermod -aG 54321 alice");
  }
  SECTION("joined already, since the last login") {
    made.machine.groups = {54321};
    CHECK(made.check("dma-heap:system").fix.empty());
    CHECK(contains(made.check("dma-heap:system").detail, "log in again"));
  }
}
