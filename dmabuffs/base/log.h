// SPDX-License-Identifier: MIT
/// The daemon's log: stderr in the foreground, syslog in the background.
#pragma once
#include <string_view>

namespace dmabuffs {

/// `foreground`: to stderr, else to syslog as "dmabuffs". `debug`: also the debug lines.
void start_log(bool foreground, bool debug);

/// Whether who runs this wants colours on a terminal: $NO_COLOR is unset or empty (no-color.org).
bool colours_wanted();

/// One line each, without its newline. Of any thread.
void log_debug(std::string_view line);
void log_info(std::string_view line);
void log_warning(std::string_view line);
void log_error(std::string_view line);

}  // namespace dmabuffs
