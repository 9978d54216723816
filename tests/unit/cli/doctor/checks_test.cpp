// SPDX-License-Identifier: MIT
#include <set>
#include <string>

#include "catch.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;
using namespace doctor_test;

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

TEST_CASE("doctor: programs know the checks by these names, in docs/json.md") {
  MadeUp made;
  made.udmabuf("64");
  made.machine.container = "docker";
  made.put("/dev/dri/card0");
  made.link("/sys/block/sda", "/sys/devices/sda");
  made.put("/sys/devices/sda/device/model", "Disk\n");
  made.put("/sys/devices/sda/queue/rotational", "0\n");
  std::set<std::string> names;
  const auto add = [&] {
    for (const Check& check : diagnose(made.machine).checks) names.insert(check.name);
  };
  add();
  made.put("/dev/dma_heap/system");
  add();
  CHECK(names ==
        std::set<std::string>{"allow_other",     "container",   "contiguous", "descriptors", "disk",
                              "dma-heap:system", "dma-heaps",   "drm-card0",  "exec",        "fuse",
                              "fusermount3",     "huge-pages",  "io_uring",   "kernel",      "kernel-module",
                              "memlock",         "memory",      "mount",      "passthrough", "udmabuf",
                              "udmabuf-list",    "udmabuf-size"});
}

TEST_CASE("doctor: memfd buffers are usable but are no dma-buf, so they don't count") {
  MadeUp made;
  CHECK_FALSE(diagnose(made.machine).direct);
  CHECK(made.heap("memfd").usable);
  CHECK_FALSE(made.heap("memfd").is_dmabuf);
}
