// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

namespace dmabuffs::cli {
namespace {

constexpr size_t kWidth = 80;

using OrderedJson = nlohmann::ordered_json;

OrderedJson text_or_null(const std::string& text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

/// `head` (`column` wide), then the words of `body` in a column of their own.
std::string in_column(std::string head, size_t column, const std::string& body) {
  const auto trimmed = [](const std::string& full) { return full.substr(0, full.find_last_not_of(' ') + 1); };
  std::string text, line = std::move(head);
  if (line.size() > column) {
    text = trimmed(line) + "\n";
    line.clear();
  }
  line.resize(column, ' ');
  std::istringstream words(body);
  bool first = true;
  for (std::string word; words >> word; first = false) {
    if (!first && line.size() + 1 + word.size() > kWidth) {
      text += line + "\n";
      line.assign(column, ' ');
      first = true;
    }
    line += (first ? "" : " ") + word;
  }
  return text + trimmed(line) + "\n";
}

std::string coloured(const std::string& text, CheckState state) {
  const char* code = state == CheckState::Ok ? "32" : state == CheckState::Warn ? "33" : "31";
  return std::string("\033[") + code + "m" + text + "\033[0m";
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 1, width), ' ');
  return text;
}

std::string check_text(const Check& check, bool colours) {
  constexpr size_t kState = 9, kDetail = 24;
  const std::string state = to_string(check.state);
  std::string text =
      in_column(padded(state, kState) + padded(check.name, kDetail - kState), kDetail + 1, check.detail);
  if (colours) text.replace(0, state.size(), coloured(state, check.state));
  if (!check.fix.empty()) text += std::string(kState, ' ') + "fix: " + check.fix + "\n";
  return text;
}

std::string heap_text(const HeapReport& heap) {
  constexpr size_t kIndent = 2, kPath = 18, kReason = 34;
  std::string head = std::string(kIndent, ' ') + padded(heap.name, kPath - kIndent);
  head += padded(heap.usable ? heap.path : "not usable", kReason - kPath);
  return in_column(std::move(head), kReason + 1, heap.reason);
}

std::string conclusion(const Diagnosis& diagnosis) {
  std::string ways;
  for (const HeapReport& heap : diagnosis.heaps)
    if (heap.usable && heap.is_dmabuf)
      ways += (ways.empty() ? "" : ", ") + heap.name + " (" + heap.path + ")";
  if (diagnosis.direct) return "yes, by heap " + ways;
  return diagnosis.no_mount.empty() ? "no, there is no heap of dma-bufs for this user" : "no";
}

}  // namespace

std::string diagnosis_json(const Diagnosis& diagnosis) {
  OrderedJson checks = OrderedJson::array(), heaps = OrderedJson::array();
  for (const Check& check : diagnosis.checks)
    checks.push_back({{"name", check.name},
                      {"state", to_string(check.state)},
                      {"detail", check.detail},
                      {"fix", text_or_null(check.fix)}});
  for (const HeapReport& heap : diagnosis.heaps)
    heaps.push_back({{"name", heap.name},
                     {"kind", heap.kind},
                     {"is_dmabuf", heap.is_dmabuf},
                     {"usable", heap.usable},
                     {"path", text_or_null(heap.path)},
                     {"reason", heap.reason}});
  const OrderedJson all = {{"checks", checks},
                           {"heaps", heaps},
                           {"mount", diagnosis.no_mount.empty()},
                           {"direct", diagnosis.direct}};
  return all.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

std::string diagnosis_text(const Machine& machine, const Diagnosis& diagnosis, bool colours) {
  std::string text = "For user " + machine.user + ":\n";
  for (const Check& check : diagnosis.checks) text += check_text(check, colours);
  const bool fixable = std::ranges::any_of(diagnosis.checks, [](const Check& check) {
    return check.state != CheckState::Ok && !check.fix.empty();
  });
  if (fixable) text += "`dmabuffs doctor --fix`, run by root, runs the lines behind \"fix:\".\n";
  text += "\nTransfers between files and buffers of heap:\n";
  for (const HeapReport& heap : diagnosis.heaps) text += heap_text(heap);
  text += "\n";
  if (!diagnosis.no_mount.empty()) text += in_column("No mount can be made:", 32, diagnosis.no_mount);
  return text + in_column("Direct I/O with a real dma-buf:", 32, conclusion(diagnosis));
}

}  // namespace dmabuffs::cli
