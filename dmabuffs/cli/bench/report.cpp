// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/report.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "dmabuffs/base/range.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli::bench {

namespace {

std::string number(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

const RowResult* result_of(const Group& group, const Row* row) {
  for (const RowResult& result : group.measured.rows)
    if (result.row == row && !result.samples.empty()) return &result;
  return nullptr;
}

/// How fast it is compared with the baseline: 1 is as fast, 0 not known.
double speed(const Group& group, const RowResult& result) {
  const RowResult* const baseline = result_of(group, group.baseline);
  const double own = result.total().median;
  return baseline != nullptr && own > 0 ? baseline->total().median / own : 0;
}

double rate(const Report& report, const RowResult& result) {
  const double milliseconds = result.median(&Sample::move);
  return milliseconds > 0 ? static_cast<double>(report.size) / 1e3 / milliseconds : 0;
}

double cpu_per_gib(const Report& report, const RowResult& result) {
  return result.median(&Sample::cpu) * static_cast<double>(kGiB) / static_cast<double>(report.size);
}

std::vector<std::string> cells(const Report& report, const Group& group, const RowResult& result) {
  const Summary total = result.total();
  const double share = speed(group, result);
  const bool uses_file = result.path != "memory";
  std::string path = result.path;
  if (uses_file && !report.keep_caches && !result.cold()) path += " (NOT COLD)";
  return {result.row->name,
          number(result.median(&Sample::create), 1),
          number(result.median(&Sample::move), 1),
          number(result.median(&Sample::close), 1),
          number(total.median, 1),
          number(total.least, 1) + "-" + number(total.most, 1),
          number(rate(report, result), 0),
          number(result.median(&Sample::cpu), 2),
          number(cpu_per_gib(report, result), 2),
          share > 0 ? number(100 * share, 0) : "",
          path};
}

/// Columns that are numbers.
const std::vector<size_t> kNumberColumns{1, 2, 3, 4, 5, 6, 7, 8, 9};

std::string markdown_table(const std::vector<std::vector<std::string>>& rows) {
  const auto line = [](const std::vector<std::string>& row) {
    std::string text = "|";
    for (const std::string& cell : row) text += " " + cell + " |";
    return text + "\n";
  };
  std::vector<std::string> rule(rows.front().size(), "---");
  for (const size_t column : kNumberColumns) rule[column] = "--:";
  std::string text = line(rows.front()) + line(rule);
  for (size_t i = 1; i < rows.size(); ++i) text += line(rows[i]);
  return text;
}

std::string control_text(const Group& group) {
  if (!group.measured.control) return "content: not checked, no row here has any to look at";
  return *group.measured.control ? "content: compared with FILE after each run; a changed byte was noticed"
                                 : "content: A CHANGED BYTE WAS NOT NOTICED, so nothing here is proven";
}

std::string buffers_text(const Report& report) {
  const uint64_t count = (report.size + report.each - 1) / report.each;
  return size_text(report.size) +
         (count > 1 ? " in " + std::to_string(count) + " buffers of " + size_text(report.each) : "");
}

Json result_json(const Report& report, const Group& group, const RowResult& result) {
  const Row& row = *result.row;
  const auto or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  Json json{{"name", row.name},
            {"list_name", or_null(row.list_name)},
            {"about", row.about},
            {"direction", to_string(row.direction)},
            {"path", or_null(result.path)},
            {"cold", result.path == "memory" ? Json(nullptr) : Json(result.cold())},
            {"checked", row.has_content && !result.samples.empty()},
            {"error", or_null(result.error)},
            {"runs", Json::array()}};
  for (const Sample& sample : result.samples)
    json["runs"].push_back({{"create_ms", sample.create},
                            {"io_ms", sample.move},
                            {"close_ms", sample.close},
                            {"cpu_seconds", sample.cpu}});
  if (result.samples.empty()) return json;
  const Summary total = result.total();
  json["total_ms"] = {{"median", total.median}, {"min", total.least}, {"max", total.most}};
  json["create_ms"] = result.median(&Sample::create);
  json["io_ms"] = result.median(&Sample::move);
  json["close_ms"] = result.median(&Sample::close);
  json["mb_per_s"] = rate(report, result);
  json["cpu_seconds"] = result.median(&Sample::cpu);
  json["cpu_seconds_per_gib"] = cpu_per_gib(report, result);
  const double share = speed(group, result);
  json["speed"] = share > 0 ? Json(share) : Json(nullptr);
  return json;
}

}  // namespace

bool all_well(const Report& report) {
  return std::all_of(report.groups.begin(), report.groups.end(), [](const Group& group) {
    return group.measured.control.value_or(true) &&
           std::all_of(group.measured.rows.begin(), group.measured.rows.end(),
                       [](const RowResult& result) { return result.error.empty(); });
  });
}

std::string report_text(const Report& report, bool markdown) {
  std::string text;
  const std::string item = markdown ? "- " : "", gap = markdown ? "\n" : "";
  for (const auto& [name, value] : report.environment)
    text += item + name + ": " + escape_controls(value) + "\n";
  text += item + "file: " + escape_name(report.file) + ", " + buffers_text(report) + "; " +
          std::to_string(report.runs) + " runs, " +
          (report.keep_caches ? "page cache kept warm" : "page cache dropped before each") + "\n";
  for (const Group& group : report.groups) {
    std::vector<std::vector<std::string>> rows{{"row", "create ms", "I/O ms", "close ms", "total ms",
                                                "min-max", "MB/s", "CPU s", "CPU s/GiB", "speed %", "path"}};
    for (const RowResult& result : group.measured.rows)
      if (!result.samples.empty()) rows.push_back(cells(report, group, result));
    if (rows.size() > 1) text += "\n" + (markdown ? markdown_table(rows) : table(rows, kNumberColumns)) + gap;
    text += item + control_text(group) + "\n";
    if (group.baseline != nullptr)
      text += item + "speed: of " + group.baseline->name +
              ", which ran first and last in each round; 100 is as fast\n";
    for (const RowResult& result : group.measured.rows)
      if (!result.error.empty())
        text += item + "FAILED " + result.row->name + ": " + escape_controls(result.error) + "\n";
  }
  text += item +
          "MB/s: of I/O, 10^6 bytes; total: median; CPU: user and system of all threads and processes but "
          "the kernel's own\n";
  std::map<std::string, std::string> reasons;
  for (const Row* row : report.left_out) {
    std::string& names = reasons[row->why_not];
    names += (names.empty() ? "" : ", ") + row->name;
  }
  for (const auto& [why, names] : reasons)
    text.append(item).append("not here: ").append(names).append(": ").append(escape_controls(why) + "\n");
  return text;
}

std::string report_json(const Report& report) {
  Json json{{"file", report.file},
            {"size", report.size},
            {"each", report.each},
            {"runs", report.runs},
            {"keep_caches", report.keep_caches},
            {"environment", Json::object()},
            {"rows", Json::array()},
            {"baselines", Json::object()},
            {"controls", Json::object()},
            {"not_here", Json::array()}};
  for (const auto& [name, value] : report.environment) json["environment"][name] = value;
  for (const Group& group : report.groups) {
    if (group.measured.rows.empty()) continue;
    const std::string direction = to_string(group.measured.rows.front().row->direction);
    json["baselines"][direction] = group.baseline != nullptr ? Json(group.baseline->name) : Json(nullptr);
    json["controls"][direction] = group.measured.control ? Json(*group.measured.control) : Json(nullptr);
    for (const RowResult& result : group.measured.rows)
      json["rows"].push_back(result_json(report, group, result));
  }
  for (const Row* row : report.left_out)
    json["not_here"].push_back({{"name", row->name}, {"why", row->why_not}});
  return to_text(json, 2) + "\n";
}

}  // namespace dmabuffs::cli::bench
