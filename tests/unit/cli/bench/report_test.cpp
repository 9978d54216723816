// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/report.h"

#include <nlohmann/json.hpp>

#include "catch.h"

using namespace dmabuffs::cli::bench;

namespace {

/// A ceiling, a row half as fast, one that failed, and one that can't run.
struct Example {
  Example() {
    rows[0].name = "ceiling-read";
    rows[0].path = "O_DIRECT";
    rows[1].name = "ours-<memfd>-first";
    rows[2].name = "bad";
    rows[3].name = "udmabuf-direct-read";
    rows[3].why_not = "there is no /dev/udmabuf";
    Group group;
    group.baseline = rows.data();
    group.measured.control = true;
    group.measured.rows = {{&rows[0],
                            {{10, 80, 10, 0.5, true}, {10, 100, 10, 0.5, true}, {10, 60, 10, 0.5, true}},
                            "O_DIRECT",
                            ""},
                           {&rows[1], {{0, 200, 0, 1, false}}, "pinned-direct", ""},
                           {&rows[2], {}, "", "wrong content: byte 7 is not the file's"}};
    report.file = "/tmp/x";
    report.size = report.each = 1 << 30;
    report.runs = 3;
    report.environment = {{"kernel", "6.12.1"}};
    report.groups = {group};
    report.left_out = {&rows[3]};
  }
  std::vector<Row> rows{4};
  Report report;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a table has medians, and says what it is about", "[bench]") {
  const Example example;
  const std::string text = report_text(example.report, false);
  INFO(text);
  CHECK(has(text, "kernel: 6.12.1\n"));
  CHECK(has(text, "file: /tmp/x, 1.0 GiB; 3 runs, page cache dropped before each\n"));
  CHECK(has(text,
            "ceiling-read             10.0    80.0      10.0     100.0   80.0-120.0  13422   0.50       0.50 "
            "     100  O_DIRECT\n"));
  CHECK(has(text,
            "ours-<memfd>-first        0.0   200.0       0.0     200.0  200.0-200.0   5369   1.00       1.00 "
            "      50  pinned-direct (NOT COLD)\n"));
  CHECK(has(text, "FAILED bad: wrong content: byte 7 is not the file's\n"));
  CHECK(has(text, "not here: udmabuf-direct-read: there is no /dev/udmabuf\n"));
  CHECK(has(text, "a changed byte was noticed\n"));
  CHECK_FALSE(all_well(example.report));
}

TEST_CASE("a control that was not noticed is no small matter", "[bench]") {
  Example example;
  example.report.groups[0].measured.rows.pop_back();
  CHECK(all_well(example.report));
  example.report.groups[0].measured.control = false;
  CHECK_FALSE(all_well(example.report));
  CHECK(has(report_text(example.report, false), "A CHANGED BYTE WAS NOT NOTICED"));
}

TEST_CASE("markdown has the same cells", "[bench]") {
  const std::string text = report_text(Example().report, true);
  INFO(text);
  CHECK(has(text, "- kernel: 6.12.1\n"));
  CHECK(has(text, "\n\n| row | create ms |"));
  CHECK(has(text, "|\n| --- | --: |"));
  CHECK(has(
      text,
      "| ceiling-read | 10.0 | 80.0 | 10.0 | 100.0 | 80.0-120.0 | 13422 | 0.50 | 0.50 | 100 | O_DIRECT |\n"));
}

TEST_CASE("JSON has each run, and null for what is not known", "[bench]") {
  const auto json = nlohmann::json::parse(report_json(Example().report));
  CHECK(json["baselines"]["read"] == "ceiling-read");
  CHECK(json["controls"]["read"] == true);
  CHECK(json["environment"]["kernel"] == "6.12.1");
  const auto& ceiling = json["rows"][0];
  CHECK(ceiling["total_ms"]["median"] == 100);
  CHECK(ceiling["runs"][1]["io_ms"] == 100);
  CHECK(ceiling["speed"] == 1);
  CHECK(ceiling["cold"] == true);
  CHECK(ceiling["error"].is_null());
  CHECK(json["rows"][1]["speed"] == 0.5);
  CHECK(json["rows"][1]["cold"] == false);
  CHECK_FALSE(json["rows"][2].contains("total_ms"));
  CHECK(json["rows"][2]["error"] == "wrong content: byte 7 is not the file's");
  CHECK(json["not_here"][0]["why"] == "there is no /dev/udmabuf");
}

TEST_CASE("a chart has a bar for each row that ran", "[bench]") {
  const std::string svg = report_svg(Example().report);
  INFO(svg);
  CHECK(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(has(svg, ">ours-&lt;memfd>-first</text>"));
  CHECK(has(svg, ">200.0 ms</text>"));
  CHECK_FALSE(has(svg, ">bad<"));
  // All the width there is for the slowest.
  CHECK(has(svg, "width=\"560.0\" height=\"16\" fill=\"#2f6fb0\""));
}
