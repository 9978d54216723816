// SPDX-License-Identifier: MIT
#include "dmabuffs/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <syslog.h>

namespace dmabuffs {

void start_log(bool foreground, bool debug) {
  spdlog::drop_all();
  auto logger = foreground ? spdlog::stderr_color_mt("dmabuffs")
                           : spdlog::syslog_logger_mt("dmabuffs", "dmabuffs", LOG_PID, LOG_DAEMON);
  logger->set_pattern(foreground ? "dmabuffs: %^%l%$: %v" : "%v");
  logger->set_level(debug ? spdlog::level::debug : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace dmabuffs
