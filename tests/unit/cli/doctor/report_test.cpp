// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>
#include <sstream>

#include "catch.h"
#include "dmabuffs/cli/doctor/report.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;
using namespace doctor_test;

TEST_CASE("doctor --json has the promised members") {
  MadeUp made;
  made.udmabuf("64");
  made.refuse("/dev/udmabuf");
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
