// SPDX-License-Identifier: MIT
#include "catch.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;
using namespace doctor_test;

TEST_CASE("doctor: the limit of locked memory, and who needs more") {
  MadeUp made;
  CHECK(made.check("memlock").detail == "no limit");
  made.machine.memlock_limit = 8 << 20;
  CHECK(made.check("memlock").state == CheckState::Ok);  // a mount locks none
  CHECK(contains(made.check("memlock").detail, "8.0 MiB"));
  CHECK(contains(made.check("memlock").detail,
                 "echo 'alice - memlock unlimited' >/etc/security/limits.d/alice-memlock.conf"));
}

TEST_CASE("doctor: huge pages that are off get the switch, or without one the sysctl for half of RAM") {
  MadeUp made;
  const std::string reserve = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages";
  const std::string memory_files = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
  made.put(reserve, "0\n");
  CHECK(made.check("huge-pages").state == CheckState::Warn);
  CHECK(made.check("huge-pages").fix == "sysctl -w vm.nr_overcommit_hugepages=2048");
  made.put(memory_files, "always within_size advise never [deny] force\n");
  CHECK(contains(made.check("huge-pages").detail, "memfd and udmabuf buffers get 4 KiB pages"));
  CHECK(made.check("huge-pages").fix == "echo advise >" + memory_files);
  made.put(memory_files, "always within_size advise [never] deny force\n");
  CHECK(made.check("huge-pages").state == CheckState::Ok);  // memfd needs no switch
  made.udmabuf("64");
  CHECK(contains(made.check("huge-pages").detail, ": udmabuf buffers get 4 KiB pages"));
  CHECK(made.check("huge-pages").fix == "echo advise >" + memory_files);
  SECTION("from Linux 7.3 on udmabuf needs no switch either") {
    made.machine.kernel = "7.3.0";
    CHECK(made.check("huge-pages").state == CheckState::Ok);
  }
  SECTION("with the switch no reserve is needed") {
    made.put(memory_files, "always within_size [advise] never deny force\n");
    CHECK(made.check("huge-pages").state == CheckState::Ok);
  }
  SECTION("a reserve is for udmabuf") {
    made.put(reserve, "100\n");
    CHECK(made.check("huge-pages").state == CheckState::Ok);
  }
}

TEST_CASE("doctor: new buffers get what a mount holds by default, half of RAM, or less where there is less") {
  MadeUp made;
  CHECK(contains(made.check("memory").detail, "4.0 GiB for new buffers: half of RAM"));
  made.put("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 2097152 kB\n");
  CHECK(contains(made.check("memory").detail, "GiB available"));
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
}

TEST_CASE("doctor: a low limit of open files is a warning") {
  MadeUp made;
  made.machine.descriptor_limit = 1024;
  CHECK(made.check("descriptors").state == CheckState::Warn);
  CHECK(made.check("descriptors").fix ==
        "echo 'alice hard nofile 65536' >/etc/security/limits.d/alice-nofile.conf");
}
