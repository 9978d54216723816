// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <string_view>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli {

namespace {

/// Bytes of the printable UTF-8 character that `text` has at `at`; 0: there is none.
size_t printable_length(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(at);
  constexpr unsigned kSpace = 0x20, kDelete = 0x7f, kMost = 0x10ffff;
  if (first < 0x80) return first >= kSpace && first != kDelete ? 1 : 0;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  constexpr std::array<unsigned, 5> kLeast{0, 0, 0xa0, 0x800, 0x10000};  // U+0080 to U+009F are controls, too
  unsigned code = first & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(at + i) & 0x3f);
  }
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  return first >= 0xc0 && first < 0xf8 && code >= kLeast[length] && code <= kMost && !surrogate ? length : 0;
}

std::string escape(const std::string& text, bool backslashes) {
  constexpr std::string_view kCodes = "\a\b\t\n\v\f\r", kLetters = "abtnvfr";
  std::string shown;
  for (size_t i = 0; i < text.size();) {
    if (const size_t length = printable_length(text, i)) {
      if (backslashes && text[i] == '\\') shown += '\\';
      shown += text.substr(i, length);
      i += length;
      continue;
    }
    const char c = text[i++];
    if (const size_t known = kCodes.find(c); known != std::string_view::npos) {
      shown += {'\\', kLetters[known]};
    } else {
      char octal[5];
      std::snprintf(octal, sizeof octal, "\\%03o", static_cast<unsigned char>(c));
      shown += octal;
    }
  }
  return shown;
}

}  // namespace

std::string escape_name(const std::string& name) {
  return escape(name, true);
}
std::string escape_controls(const std::string& text) {
  return escape(text, false);
}

std::string human_seconds(uint64_t seconds) {
  const auto hours = static_cast<unsigned long long>(seconds / 3600);
  const auto minutes = static_cast<unsigned>(seconds / 60 % 60), rest = static_cast<unsigned>(seconds % 60);
  char text[40];
  if (hours > 0)
    std::snprintf(text, sizeof text, "%llu:%02u:%02u", hours, minutes, rest);
  else
    std::snprintf(text, sizeof text, "%u:%02u", minutes, rest);
  return text;
}

namespace {

/// Columns of the terminal, as far as a character takes one.
size_t columns(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Where in `text` the character number `index` begins.
size_t place_of(const std::string& text, size_t index) {
  size_t at = 0;
  for (; at < text.size(); ++at)
    if ((static_cast<unsigned char>(text[at]) & 0xc0) != 0x80 && index-- == 0) break;
  return at;
}

}  // namespace

std::string shortened(const std::string& text, size_t most, size_t first) {
  const size_t all = columns(text);
  if (all <= most || most <= first) return text;
  return text.substr(0, place_of(text, first)) + "\u2026" +
         text.substr(place_of(text, all - (most - first - 1)));
}

std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& right) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], columns(row[i]));
    }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string room(widths[i] - columns(row[i]), ' ');
      const bool to_right = std::find(right.begin(), right.end(), i) != right.end();
      line += (i == 0 ? "" : "  ") + (to_right ? room + row[i] : row[i] + room);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

namespace {

constexpr auto kQuiet = std::chrono::seconds(1);
constexpr auto kBetween = std::chrono::milliseconds(200);

size_t terminal_width() {
  constexpr size_t kUsual = 80;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

}  // namespace

Progress::Progress(std::string label, bool wanted)
    : label_(std::move(label)), visible_(wanted && ::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void Progress::show(uint64_t bytes, uint64_t total) {
  const auto now = Clock::now();
  if (!visible_ || now - start_ < kQuiet || (drawn_ && now - last_ < kBetween)) return;
  last_ = now;
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  // The last column stays free: some terminals wrap when it is written.
  std::fprintf(stderr, "\r\033[K%s", line(label_, bytes, total, seconds, terminal_width() - 1).c_str());
  std::fflush(stderr);
}

std::string Progress::line(const std::string& label, uint64_t bytes, uint64_t total, double seconds,
                           size_t width) {
  const double rate = seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
  std::string numbers = size_text(bytes);
  if (total > 0) numbers += " / " + size_text(total);
  numbers += "  " + size_text(static_cast<uint64_t>(rate)) + "/s";
  if (total >= bytes && rate >= 1)
    numbers +=
        "  " + human_seconds(static_cast<uint64_t>(static_cast<double>(total - bytes) / rate)) + " left";
  if (numbers.size() + 2 >= width) return numbers.substr(0, width);
  const size_t room = width - numbers.size() - 2;
  // Of a long name the end tells more than the beginning.
  return shortened(label, room, 0) + "  " + numbers;
}

int die_by(int signal) {
  std::fflush(nullptr);
  std::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  std::raise(signal);
  return 128 + signal;
}

int report(const std::string& message) {
  std::fprintf(stderr, "dmabuffs: %s\n", escape_controls(message).c_str());
  return 1;
}

int misuse(const std::string& command, const std::string& message) {
  report(command + ": " + message);
  std::fprintf(stderr, "Try 'dmabuffs %s --help'.\n", command.c_str());
  return kUsageError;
}

}  // namespace dmabuffs::cli
