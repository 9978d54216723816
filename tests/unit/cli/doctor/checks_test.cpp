// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "catch.h"
#include "dmabuffs/cli/doctor/report.h"

using namespace dmabuffs::cli;

namespace {

/// A machine made of plain files in a directory that goes with it.
class MadeUp {
 public:
  MadeUp() {
    std::string path = std::filesystem::temp_directory_path() / "doctor.XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    machine.root = path;
    machine.user = "alice";
    machine.kernel = "6.12.1-amd64";
    machine.libfuse = 317;
    machine.may_mount = true;
    machine.descriptor_limit = 1 << 20;
    machine.io_uring = true;
    machine.can_open = [this](const std::string& node) {
      return denied.count(node.substr(machine.root.size())) == 0;
    };
    put("/dev/fuse");
    put("/usr/bin/fusermount3", "", 04755);
    put("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\n");
    put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages", "2048\n");
  }
  MadeUp(const MadeUp&) = delete;
  MadeUp& operator=(const MadeUp&) = delete;
  ~MadeUp() { std::filesystem::remove_all(machine.root); }

  void put(const std::string& path, const std::string& text = "", unsigned mode = 0600) {
    const std::filesystem::path file = machine.root + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
    std::filesystem::permissions(file, static_cast<std::filesystem::perms>(mode));
  }
  void udmabuf(const std::string& limit_mb) {
    put("/dev/udmabuf");
    put("/sys/module/udmabuf/parameters/size_limit_mb", limit_mb + "\n");
    put("/sys/module/udmabuf/parameters/list_limit", "1024\n");
  }
  void remove(const std::string& path) { std::filesystem::remove(machine.root + path); }

  [[nodiscard]] Check check(const std::string& name) const {
    for (const Check& found : diagnose(machine).checks)
      if (found.name == name) return found;
    FAIL("no check of the name " << name);
    return {};
  }
  [[nodiscard]] HeapReport heap(const std::string& name) const {
    for (const HeapReport& found : diagnose(machine).heaps)
      if (found.name == name) return found;
    FAIL("no heap of the name " << name);
    return {};
  }

  Machine machine;
  std::set<std::string> denied;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("doctor: a machine with udmabuf has a direct path to a real dma-buf") {
  MadeUp made;
  made.udmabuf("2147483647");
  const Diagnosis diagnosis = diagnose(made.machine);
  CHECK(diagnosis.direct);
  CHECK(made.heap("udmabuf").usable);
  CHECK(made.heap("udmabuf").path == "pinned-direct");
  for (const Check& check : diagnosis.checks)
    if (check.name != "dma-heaps" && check.name != "memory") CHECK(check.state == CheckState::Ok);
}

TEST_CASE("doctor: a dma-heap alone counts as direct, by way of bounce buffers, and says why") {
  MadeUp made;
  made.put("/dev/dma_heap/system");
  CHECK(diagnose(made.machine).direct);
  CHECK(made.heap("system").path == "bounce-direct");
  CHECK_FALSE(made.heap("system").reason.empty());
  CHECK(made.check("dma-heap:system").state == CheckState::Ok);
}

TEST_CASE(
    "doctor: a display's node that may not be opened is only a warning, and one that makes no buffers is "
    "none") {
  MadeUp made;
  made.put("/dev/dri/renderD128");
  made.put("/dev/dri/card0");
  made.put("/dev/dri/card1", "", 0660);
  made.denied.insert("/dev/dri/card1");
  CHECK(made.check("drm-card0").state == CheckState::Ok);
  CHECK(contains(made.check("drm-card0").detail, "no dumb buffers: no heap"));
  CHECK(made.check("drm-card1").state == CheckState::Warn);
  CHECK(contains(made.check("drm-card1").detail, "/dev/dri/card1: permission denied"));
  CHECK_FALSE(made.check("drm-card1").fix.empty());
}

TEST_CASE("doctor: memfd buffers are usable but are no dma-buf, so they don't count") {
  MadeUp made;
  CHECK_FALSE(diagnose(made.machine).direct);
  CHECK(made.heap("memfd").usable);
  CHECK_FALSE(made.heap("memfd").is_dmabuf);
}

TEST_CASE("doctor: without a way to mount there is no direct path") {
  MadeUp made;
  made.udmabuf("64");
  SECTION("/dev/fuse may not be opened") {
    made.denied.insert("/dev/fuse");
    CHECK(made.check("fuse").fix == "chmod 0666 /dev/fuse");
    CHECK(made.check("mount").state == CheckState::Missing);
    CHECK(made.check("mount").fix == "chmod 0666 /dev/fuse");
  }
  SECTION("/dev/fuse is not there") {
    made.remove("/dev/fuse");
    CHECK(made.check("fuse").fix.empty());
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
    made.machine.can_open = [](const std::string& path) { return !path.ends_with("/dev/fuse"); };
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
  SECTION("the module of this project, which nothing else needs") {
    CHECK(made.check("kernel-module").state == CheckState::Ok);
    made.put("/lib/modules/6.12.1-amd64/modules.dep", "updates/dkms/dmabuf_file.ko.xz:\n");
    CHECK(made.check("kernel-module").state == CheckState::Warn);  // or --fix would not run it
    CHECK(made.check("kernel-module").fix == "modprobe dmabuf_file");
    made.put("/dev/dmabuf_file");  // which is none that could be used
    CHECK(made.check("kernel-module").state == CheckState::Warn);
    CHECK(contains(made.check("kernel-module").detail, "another version"));
    CHECK(made.check("kernel-module").fix.empty());
    made.denied.insert("/dev/dmabuf_file");
    CHECK(made.check("kernel-module").state == CheckState::Warn);
    CHECK(contains(made.check("kernel-module").detail, "permission denied"));
    CHECK(contains(made.check("kernel-module").fix, "setfacl"));
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

TEST_CASE("doctor: a module that Secure Boot refuses gets the line that enrolls its key") {
  MadeUp made;
  const std::string variables = "/sys/firmware/efi/efivars/";
  const std::string secure_boot = variables + "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
  made.put("/lib/modules/6.12.1-amd64/modules.dep", "updates/dkms/dmabuf_file.ko.xz:\n");
  made.put("/var/lib/dkms/mok.pub", "the key");
  const auto check = [&] { return made.check("kernel-module"); };
  made.put(secure_boot, std::string("\6\0\0\0\0", 5));
  CHECK(check().fix == "modprobe dmabuf_file");
  SECTION("locked down") {
    made.put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
  }
  SECTION("told to take signed ones only") {
    made.put("/sys/module/module/parameters/sig_enforce", "Y\n");
  }
  SECTION("Secure Boot") {
    made.put(secure_boot, std::string("\6\0\0\0\1", 5));
  }
  SECTION("not installed: that first") {
    made.put(secure_boot, std::string("\6\0\0\0\1", 5));
    made.put("/usr/bin/apt-get");
    CHECK(check().fix == "apt-get install -y mokutil && mokutil --import /var/lib/dkms/mok.pub");
    made.put("/usr/bin/mokutil");
  }
  CHECK(check().state == CheckState::Warn);
  CHECK(check().fix == "mokutil --import /var/lib/dkms/mok.pub");
  CHECK(contains(check().detail, "Secure Boot refuses it"));
  made.put(variables + "MokNew-605dab50-e046-4300-abb6-3dd810dd8b23", "....the key");
  CHECK(check().fix.empty());
  CHECK(contains(check().detail, "started again"));
  made.put("/sys/firmware/efi/mok-variables/MokListRT", "other keys, the key, more");
  CHECK(check().fix == "modprobe dmabuf_file");
  made.remove("/sys/firmware/efi/mok-variables/MokListRT");
  made.remove("/var/lib/dkms/mok.pub");
  CHECK(contains(check().detail, "signed (docs/kernel.md)"));
}

TEST_CASE("doctor: a module whose sources are there, and which is not built for this kernel") {
  MadeUp made;
  made.put("/var/lib/dkms/dmabuf_file/0.1.0/source");
  made.put("/usr/bin/apt-get");
  const auto check = [&] { return made.check("kernel-module"); };
  CHECK(check().state == CheckState::Warn);
  CHECK(check().fix == "apt-get install -y linux-headers-6.12.1-amd64 && dkms autoinstall -k 6.12.1-amd64");
  made.put("/lib/modules/6.12.1-amd64/build/Makefile");
  CHECK(check().fix == "dkms autoinstall -k 6.12.1-amd64");
  made.machine.kernel = "6.1.0-9-amd64";
  CHECK(check().state == CheckState::Ok);
  CHECK(check().fix.empty());
  CHECK(contains(check().detail, "it needs Linux 6.12"));
}

TEST_CASE("doctor: the heap of contiguous memory, whatever it is called") {
  MadeUp made;
  made.put("/dev/dma_heap/system");
  const auto detail = [&] { return made.check("contiguous").detail; };
  CHECK(contains(detail(), "(there is no IOMMU here): cma=256M"));
  made.put("/sys/class/iommu/dmar0/uevent");
  CHECK(contains(detail(), "no IOMMU serves: cma=256M"));
  made.put("/dev/dma_heap/reserved");
  CHECK(contains(detail(), "heaps/cma is reserved"));
  CHECK(contains(detail(), "ln -s reserved /dev/dma_heap/linux,cma"));
  made.put("/dev/dma_heap/linux,cma");
  CHECK(detail() == "heaps/cma is linux,cma");
  made.put("/dev/dma_heap/cma");
  CHECK(detail() == "heaps/cma");
}

TEST_CASE("doctor: the limit of locked memory, and who needs more") {
  MadeUp made;
  CHECK(made.check("memlock").detail == "no limit");
  made.machine.memlock_limit = 8 << 20;
  CHECK(made.check("memlock").state == CheckState::Ok);  // a mount locks none
  CHECK(contains(made.check("memlock").detail, "8.0 MiB"));
  CHECK(contains(made.check("memlock").detail, "'alice - memlock unlimited'"));
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

TEST_CASE("doctor: a device that may not be opened gets the line that permits it") {
  MadeUp made;
  made.put("/dev/dma_heap/system");
  made.denied.insert("/dev/dma_heap/system");
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

TEST_CASE("doctor: udmabuf's limits are measured against half of RAM") {
  MadeUp made;
  made.udmabuf("64");
  const Check size = made.check("udmabuf-size");
  CHECK(size.state == CheckState::Warn);
  CHECK(contains(size.detail, "64 MiB"));
  CHECK(size.fix == "echo 4096 >/sys/module/udmabuf/parameters/size_limit_mb");
  CHECK(made.check("udmabuf-list").state == CheckState::Ok);
  made.put("/sys/module/udmabuf/parameters/list_limit", "8\n");
  CHECK(made.check("udmabuf-list").state == CheckState::Warn);
  made.udmabuf("4096");
  CHECK(made.check("udmabuf-size").state == CheckState::Ok);
}

TEST_CASE("doctor: huge pages that are off get the switch, or without one the sysctl for half of RAM") {
  MadeUp made;
  const std::string reserve = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages";
  const std::string memory_files = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
  made.put(reserve, "0\n");
  CHECK(made.check("huge-pages").state == CheckState::Warn);
  CHECK(made.check("huge-pages").fix == "sysctl -w vm.nr_overcommit_hugepages=2048");
  made.put(memory_files, "always within_size advise [never] deny force\n");
  CHECK(made.check("huge-pages").fix == "echo advise >" + memory_files);
  SECTION("with the switch no reserve is needed") {
    made.put(memory_files, "always within_size [advise] never deny force\n");
    CHECK(made.check("huge-pages").state == CheckState::Ok);
  }
  SECTION("a reserve is for udmabuf") {
    made.put(reserve, "100\n");
    CHECK(made.check("huge-pages").state == CheckState::Warn);
    made.udmabuf("64");
    CHECK(made.check("huge-pages").state == CheckState::Ok);
  }
}

TEST_CASE("doctor: new buffers get what a mount holds by default, half of RAM, or less where there is less") {
  MadeUp made;
  CHECK(contains(made.check("memory").detail, "4.0 GiB for new buffers: half of RAM"));
  made.put("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 2097152 kB\n");
  CHECK(contains(made.check("memory").detail, "GiB available"));
}

TEST_CASE("doctor: passthrough names each thing it lacks") {
  MadeUp made;
  CHECK(made.check("passthrough").state == CheckState::Ok);
  made.machine.libfuse = 314;
  made.machine.kernel = "6.1.0-9-amd64";
  made.machine.may_mount = false;
  const std::string detail = made.check("passthrough").detail;
  CHECK(contains(detail, "libfuse 3.17 (this is 3.14)"));
  CHECK(contains(detail, "Linux 6.9"));
  CHECK(contains(detail, "CAP_SYS_ADMIN"));
}

TEST_CASE("doctor: what an administrator switched off for safety has no automatic fix") {
  MadeUp made;
  CHECK(contains(made.check("io_uring").detail, "does not register dma-bufs"));
  made.machine.io_uring_dmabufs = true;
  CHECK(contains(made.check("io_uring").detail, "into registered dma-bufs"));
  made.machine.io_uring = false;
  made.put("/proc/sys/kernel/io_uring_disabled", "2\n");
  CHECK(made.check("io_uring").state == CheckState::Warn);
  CHECK(contains(made.check("io_uring").detail, "kernel.io_uring_disabled=2"));
  CHECK(made.check("io_uring").fix.empty());
  CHECK(made.check("allow_other").fix.empty());
  CHECK(contains(made.check("allow_other").detail, "for root only"));
  made.put("/etc/fuse.conf", "#user_allow_other\nmount_max = 9\n  user_allow_other # for all\n");
  CHECK(contains(made.check("allow_other").detail, "for everyone"));
}

TEST_CASE("doctor: a low limit of open files is a warning") {
  MadeUp made;
  made.machine.descriptor_limit = 1024;
  CHECK(made.check("descriptors").state == CheckState::Warn);
}

TEST_CASE("doctor --json has the promised members") {
  MadeUp made;
  made.udmabuf("64");
  made.denied.insert("/dev/udmabuf");
  const auto json = nlohmann::json::parse(diagnosis_json(diagnose(made.machine)));
  CHECK(json.at("direct") == false);
  for (const auto& check : json.at("checks"))
    for (const char* key : {"name", "state", "detail", "fix"}) CHECK(check.contains(key));
  for (const auto& heap : json.at("heaps")) {
    for (const char* key : {"name", "kind", "is_dmabuf", "usable", "path", "reason"})
      CHECK(heap.contains(key));
    if (heap.at("name") == "udmabuf") CHECK(heap.at("path").is_null());
  }
}

TEST_CASE("doctor's text keeps to 80 columns and has no colours unless asked") {
  MadeUp made;
  made.udmabuf("64");
  made.put("/dev/dma_heap/a-heap-with-quite-a-long-name");
  made.machine.libfuse = 314;
  const std::string text = diagnosis_text(made.machine, diagnose(made.machine), false);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!contains(line, "fix: ")) CHECK(line.size() <= 80);
    CHECK((line.empty() || line.back() != ' '));
  }
  CHECK_FALSE(contains(text, "\033"));
  CHECK(contains(text, "fix: echo 4096 >/sys/module/udmabuf/parameters/size_limit_mb"));
  CHECK(contains(text, "dmabuf_file is not installed"));
  CHECK(contains(diagnosis_text(made.machine, diagnose(made.machine), true), "\033["));
}
