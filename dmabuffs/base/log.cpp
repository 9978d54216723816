// SPDX-License-Identifier: MIT
#include "dmabuffs/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <syslog.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "dmabuffs/base/limited_sink.h"

namespace dmabuffs {

bool colours_wanted() {
  const char* no = std::getenv("NO_COLOR");
  return no == nullptr || *no == '\0';
}

void start_log(bool foreground, bool debug) {
  spdlog::drop_all();
  const auto colours = colours_wanted() ? spdlog::color_mode::automatic : spdlog::color_mode::never;
  spdlog::sink_ptr to;
  if (foreground)
    to = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(colours);
  else
    to = std::make_shared<spdlog::sinks::syslog_sink_mt>("dmabuffs", LOG_PID, LOG_DAEMON, false);
  auto logger = std::make_shared<spdlog::logger>("dmabuffs", std::make_shared<LimitedSink>(std::move(to)));
  logger->set_pattern(foreground ? "dmabuffs: %^%l%$: %v" : "%v");
  logger->set_level(debug ? spdlog::level::debug : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

namespace {
/// Places have lines, and lines parts: one number for both.
constexpr int kMostLines = 100'000;

void log_line(spdlog::level::level_enum level, std::string_view line, const SourceLocation& from,
              int part = 0) noexcept {
  const int kind = static_cast<int>(from.line()) + part * kMostLines;
  try {
    // The names in it are anybody's: none may begin a line of its own, or tell a terminal what to do.
    std::string shown(line);
    std::ranges::replace_if(
        shown, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    spdlog::log(spdlog::source_loc{from.file_name(), kind, ""}, level, shown);
  } catch (const std::exception&) {  // a line less
  }
}
}  // namespace

void log_debug(std::string_view line) noexcept {
  log_line(spdlog::level::debug, line, SourceLocation::current());
}
void log_info(std::string_view line, SourceLocation from) noexcept {
  log_line(spdlog::level::info, line, from);
}
void log_warning(std::string_view line, int part, SourceLocation from) noexcept {
  log_line(spdlog::level::warn, line, from, part);
}
void log_error(std::string_view line, SourceLocation from) noexcept {
  log_line(spdlog::level::err, line, from);
}

}  // namespace dmabuffs
