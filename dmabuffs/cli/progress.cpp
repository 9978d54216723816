// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "dmabuffs/cli/format.h"

namespace dmabuffs::cli {

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
  std::string numbers = human_bytes(bytes);
  if (total > 0) numbers += " / " + human_bytes(total);
  numbers += "  " + human_bytes(static_cast<uint64_t>(rate)) + "/s";
  if (total >= bytes && rate >= 1)
    numbers +=
        "  " + human_seconds(static_cast<uint64_t>(static_cast<double>(total - bytes) / rate)) + " left";
  if (numbers.size() + 2 >= width) return numbers.substr(0, width);
  const size_t room = width - numbers.size() - 2;
  // Of a long name the end tells more than the beginning.
  const std::string name = label.size() <= room ? label : label.substr(label.size() - room);
  return name + "  " + numbers;
}

}  // namespace dmabuffs::cli
