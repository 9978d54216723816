// SPDX-License-Identifier: MIT
#include "catch.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;
using namespace doctor_test;

TEST_CASE("doctor: the kernel module, which nothing else needs") {
  MadeUp made;
  CHECK(made.check("kernel-module").state == CheckState::Ok);
  CHECK(contains(made.check("kernel-module").detail, "there are no dma-heaps here"));
  CHECK(contains(made.check("kernel-module").detail, "package dmabuffs-dkms"));
  made.put("/dev/dma_heap/system");
  CHECK(contains(made.check("kernel-module").detail, "dma-heap buffers are copied by way of bounce memory"));
  made.put("/lib/modules/6.12.1-amd64/modules.dep", "updates/dkms/dmabuf_file.ko.xz:\n");
  CHECK(made.check("kernel-module").state == CheckState::Warn);  // or --fix would not run it
  CHECK(made.check("kernel-module").fix == "modprobe dmabuf_file");
  made.put("/dev/dmabuf_file");  // which is none that could be used
  CHECK(made.check("kernel-module").state == CheckState::Warn);
  CHECK(contains(made.check("kernel-module").detail, "another version"));
  CHECK(made.check("kernel-module").fix.empty());
  made.refuse("/dev/dmabuf_file");
  CHECK(made.check("kernel-module").state == CheckState::Warn);
  CHECK(contains(made.check("kernel-module").detail, "permission denied"));
  CHECK(contains(made.check("kernel-module").fix, "setfacl"));
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
