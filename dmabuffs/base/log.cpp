// SPDX-License-Identifier: MIT
#include "dmabuffs/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <syslog.h>

#include <cstdlib>

namespace dmabuffs {

bool colours_wanted() {
  const char* no = std::getenv("NO_COLOR");
  return no == nullptr || *no == '\0';
}

void start_log(bool foreground, bool debug) {
  spdlog::drop_all();
  const auto colours = colours_wanted() ? spdlog::color_mode::automatic : spdlog::color_mode::never;
  auto logger = foreground ? spdlog::stderr_color_mt("dmabuffs", colours)
                           : spdlog::syslog_logger_mt("dmabuffs", "dmabuffs", LOG_PID, LOG_DAEMON);
  logger->set_pattern(foreground ? "dmabuffs: %^%l%$: %v" : "%v");
  logger->set_level(debug ? spdlog::level::debug : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void log_debug(std::string_view line) {
  spdlog::debug(line);
}
void log_info(std::string_view line) {
  spdlog::info(line);
}
void log_warning(std::string_view line) {
  spdlog::warn(line);
}
void log_error(std::string_view line) {
  spdlog::error(line);
}

}  // namespace dmabuffs
