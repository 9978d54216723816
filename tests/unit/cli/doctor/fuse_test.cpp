// SPDX-License-Identifier: MIT
#include "catch.h"
#include "dmabuffs/cli/doctor/report.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;
using namespace doctor_test;

TEST_CASE("doctor: without a way to mount there is no direct path") {
  MadeUp made;
  made.udmabuf("64");
  SECTION("/dev/fuse may not be opened") {
    made.refuse("/dev/fuse");
    CHECK(made.check("fuse").fix == "chmod 0666 /dev/fuse");
    CHECK(made.check("mount").state == CheckState::Missing);
    CHECK(made.check("mount").fix == "chmod 0666 /dev/fuse");
  }
  SECTION("/dev/fuse is not there") {
    made.remove("/dev/fuse");
    CHECK(made.check("fuse").fix.empty());
  }
  SECTION("/dev/fuse lets everyone, and what it is of does not") {
    made.put("/dev/fuse", "", 0666);
    made.refuse("/dev/fuse");
    CHECK(made.check("fuse").fix.empty());
    CHECK(contains(made.check("fuse").detail, "nodev"));
  }
  SECTION("/dev/fuse has no driver: no mode helps") {
    made.refuse("/dev/fuse", ENODEV);
    made.machine.container = "chroot";
    CHECK(contains(made.check("fuse").detail, "/dev/fuse has no driver: kernel"));
    CHECK(made.check("fuse").fix.empty());
    CHECK(made.check("container").state == CheckState::Warn);
  }
  SECTION("a container has none: what its kernel has is given to it from outside") {
    made.remove("/dev/fuse");
    made.put("/sys/class/misc/fuse/dev", "10:229\n");
    made.machine.container = "docker";
    CHECK(contains(made.check("container").detail, "--device /dev/fuse"));
  }
  SECTION("an ordinary user lacks fusermount3") {
    made.machine.may_mount = false;
    made.remove("/usr/bin/fusermount3");
    CHECK(made.check("fusermount3").state == CheckState::Missing);
  }
  SECTION("mounting was tried and refused") {
    made.machine.no_mount = "mount(2): Operation not permitted";
    CHECK(made.check("mount").state == CheckState::Missing);
    made.machine.container = "docker";
    CHECK(contains(made.check("container").detail, "--cap-add SYS_ADMIN"));
    CHECK(contains(diagnosis_text(made.machine, diagnose(made.machine), false),
                   "No mount can be made:           mount(2): Operation not permitted\n"));
    made.refuse("/dev/fuse");
    CHECK(made.check("fuse").fix == "chmod 0666 /dev/fuse");
    CHECK_FALSE(contains(made.check("container").detail, "--cap-add SYS_ADMIN"));
  }
  SECTION("fusermount3 has lost its setuid bit") {
    made.machine.may_mount = false;
    made.put("/usr/bin/fusermount3", "", 0755);
    CHECK(made.check("fusermount3").fix == "chmod u+s /usr/bin/fusermount3");
  }
  CHECK_FALSE(diagnose(made.machine).direct);
  CHECK_FALSE(diagnose(made.machine).no_mount.empty());
}

TEST_CASE("doctor: what keeps `dmabuffs exec` from working is no obstacle for a mount") {
  MadeUp made;
  made.udmabuf("2147483647");
  CHECK(made.check("exec").state == CheckState::Ok);
  made.machine.no_exec = "in a chroot";
  CHECK(made.check("exec").state == CheckState::Warn);
  CHECK(contains(made.check("exec").detail, "in a chroot"));
  made.machine.container = "chroot";
  CHECK(made.check("container").state == CheckState::Ok);
  CHECK(diagnose(made.machine).direct);
}

TEST_CASE("doctor: AppArmor's rule for user namespaces is named where exec fails, and left alone") {
  MadeUp made;
  made.put("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
  CHECK(made.check("exec").state == CheckState::Ok);
  made.machine.no_exec = "mount(2): Permission denied";
  CHECK_FALSE(contains(made.check("exec").detail, "AppArmor"));  // root makes no user namespace
  made.machine.may_mount = false;
  CHECK(contains(made.check("exec").detail, "AppArmor restricts user namespaces"));
  CHECK(made.check("exec").fix.empty());
}

TEST_CASE("doctor: where /etc/mtab is missing fusermount3 can't unmount") {
  MadeUp made;
  CHECK(made.check("fusermount3").state == CheckState::Ok);
  made.remove("/etc/mtab");
  CHECK(made.check("fusermount3").state == CheckState::Warn);
  CHECK(made.check("fusermount3").fix == "ln -sf ../proc/self/mounts /etc/mtab");
  CHECK(made.check("mount").state == CheckState::Ok);
}

TEST_CASE("doctor: passthrough names each thing it lacks") {
  MadeUp made;
  CHECK(made.check("passthrough").state == CheckState::Ok);
  made.machine.libfuse = 314;
  made.machine.kernel = "6.1.0-9-amd64";
  made.machine.may_pass_through = false;  // root of a user namespace may mount all the same
  const std::string detail = made.check("passthrough").detail;
  CHECK(contains(detail, "libfuse 3.17 (this is 3.14)"));
  CHECK(contains(detail, "Linux 6.9"));
  CHECK(contains(detail, "CAP_SYS_ADMIN"));
}

TEST_CASE("doctor: who may show a mount to others is the administrator's to say") {
  MadeUp made;
  CHECK(made.check("allow_other").fix.empty());
  CHECK(contains(made.check("allow_other").detail, "for root only"));
  made.put("/etc/fuse.conf", "#user_allow_other\nmount_max = 9\n  user_allow_other # for all\n");
  CHECK(contains(made.check("allow_other").detail, "for everyone"));
}
