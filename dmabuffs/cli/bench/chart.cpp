// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cstdio>

#include "dmabuffs/cli/bench/report.h"

namespace dmabuffs::cli::bench {

namespace {

constexpr int kLeft = 230, kWidth = 560, kRight = 110, kBar = 16, kStep = 24, kTop = 44;
constexpr std::array kColours{"#9aa7b4", "#2f6fb0", "#d9a441"};
constexpr std::array kParts{"create", "I/O", "close"};

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '&' ? "&amp;" : c == '<' ? "&lt;" : std::string(1, c);
  return safe;
}

std::string rectangle(double x, int y, double width, int height, const char* colour) {
  char text[160];
  std::snprintf(text, sizeof text, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
                x, y, width, height, colour);
  return text;
}

std::string words(double x, int y, const char* anchor, const std::string& what) {
  char place[96];
  std::snprintf(place, sizeof place, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">", x, y, anchor);
  return place + escaped(what) + "</text>\n";
}

std::string bar(const RowResult& result, int y, double scale) {
  const std::array parts{result.median(&Sample::create), result.median(&Sample::move),
                         result.median(&Sample::close)};
  std::string text = words(kLeft - 8, y + kBar - 4, "end", result.row->name);
  double x = kLeft;
  for (size_t i = 0; i < parts.size(); ++i) {
    text += rectangle(x, y, parts[i] * scale, kBar, kColours[i]);
    x += parts[i] * scale;
  }
  const Summary total = result.total();
  text += rectangle(kLeft + total.least * scale, y + kBar / 2,
                    std::max((total.most - total.least) * scale, 1.0), 1, "#000000");
  char label[32];
  std::snprintf(label, sizeof label, "%.1f ms", total.median);
  return text + words(kLeft + std::max(total.most, total.median) * scale + 6, y + kBar - 4, "start", label);
}

}  // namespace

std::string report_svg(const Report& report) {
  std::vector<const RowResult*> rows;
  double most = 1e-9;
  for (const Group& group : report.groups)
    for (const RowResult& result : group.measured.rows) {
      if (result.samples.empty()) continue;
      rows.push_back(&result);
      most = std::max({most, result.total().most, result.total().median});
    }
  std::string body =
      words(8, 16, "start",
            report.file + ": total of each way, median; the line is min to max. Shorter is better.");
  for (size_t i = 0; i < kParts.size(); ++i) {
    const double x = kLeft + 80.0 * static_cast<double>(i);
    body += rectangle(x, 24, 10, 10, kColours[i]) + words(x + 14, 33, "start", kParts[i]);
  }
  int y = kTop;
  for (const RowResult* row : rows) {
    body += bar(*row, y, kWidth / most);
    y += kStep;
  }
  const std::string width = std::to_string(kLeft + kWidth + kRight), height = std::to_string(y + 8);
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + width + "\" height=\"" + height +
         "\" viewBox=\"0 0 " + width + " " + height +
         "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
         "fill=\"#ffffff\"/>\n" +
         body + "</svg>\n";
}

}  // namespace dmabuffs::cli::bench
