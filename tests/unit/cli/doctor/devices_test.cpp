// SPDX-License-Identifier: MIT
#include "catch.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;
using namespace doctor_test;

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
  made.refuse("/dev/dri/card1");
  CHECK(made.check("drm-card0").state == CheckState::Ok);
  CHECK(contains(made.check("drm-card0").detail, "no dumb buffers: no heap"));
  CHECK(made.check("drm-card1").state == CheckState::Warn);
  CHECK(contains(made.check("drm-card1").detail, "/dev/dri/card1: permission denied"));
  CHECK_FALSE(made.check("drm-card1").fix.empty());
}

TEST_CASE("doctor: a node that nothing drives and no option of the kernel's is known for") {
  MadeUp made;
  made.put("/dev/dri/card0");
  made.refuse("/dev/dri/card0", ENXIO);
  CHECK(made.check("drm-card0").detail == "/dev/dri/card0 has no driver");
  made.put("/dev/dmabuf_file");
  made.refuse("/dev/dmabuf_file", ENXIO);
  CHECK(made.check("kernel-module").detail == "/dev/dmabuf_file has no driver");
  made.put("/lib/modules/6.12.1-amd64/modules.dep", "updates/dmabuf_file.ko:\n");
  CHECK(made.check("kernel-module").fix == "modprobe dmabuf_file");
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
  made.put("/proc/meminfo", "MemTotal: 8388608 kB\nCmaTotal: 262144 kB\nCmaFree: 1024 kB\n");
  CHECK(contains(detail(), "heaps/cma is reserved, 1.0 MiB of 256.0 MiB contiguous memory free; a program"));
  made.put("/proc/meminfo", "MemTotal: 8388608 kB\n");
  made.put("/dev/dma_heap/linux,cma");
  CHECK(detail() == "heaps/cma is linux,cma");
  made.put("/dev/dma_heap/cma");
  CHECK(detail() == "heaps/cma");
}

TEST_CASE("doctor: a heap that is a module of its own gets its modprobe beside others that are there") {
  MadeUp made;
  made.put("/dev/dma_heap/secure");
  made.put("/proc/meminfo", "MemTotal: 8388608 kB\nCmaTotal: 262144 kB\nCmaFree: 262144 kB\n");
  CHECK(made.check("contiguous").state == CheckState::Ok);
  CHECK(contains(made.check("contiguous").detail, "set 256.0 MiB aside, but has no CONFIG_DMABUF_HEAPS_CMA"));
  made.put("/lib/modules/6.12.1-amd64/modules.dep",
           "kernel/a/system_heap.ko.xz:\nkernel/a/cma_heap.ko.xz:\n");
  CHECK(made.check("dma-heap:system").fix == "modprobe system_heap");
  CHECK(made.check("contiguous").state == CheckState::Warn);
  CHECK(made.check("contiguous").fix == "modprobe cma_heap");
  made.put("/sys/module/cma_heap/uevent");
  CHECK(made.check("contiguous").fix.empty());
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
