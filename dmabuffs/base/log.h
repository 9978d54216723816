// SPDX-License-Identifier: MIT
/// The daemon's log: stderr in the foreground, syslog in the background.
#pragma once
#include <experimental/source_location>
#include <string_view>

namespace dmabuffs {

using SourceLocation = std::experimental::source_location;  // which clang-tidy of Debian 12 can read

/// `foreground`: to stderr, else to syslog as "dmabuffs". `debug`: also the debug lines.
void start_log(bool foreground, bool debug);

/// Whether who runs this wants colours on a terminal: $NO_COLOR is unset or empty (no-color.org).
bool colours_wanted();

/// One line each, without its newline. Of any thread; nothing is thrown. Lines from one place in the program
/// are of one kind, of which there are only so many (LimitedSink); `part` tells apart those of a place that
/// logs for many others.
void log_debug(std::string_view line) noexcept;
void log_info(std::string_view line, SourceLocation from = SourceLocation::current()) noexcept;
void log_warning(std::string_view line, int part = 0,
                 SourceLocation from = SourceLocation::current()) noexcept;
void log_error(std::string_view line, SourceLocation from = SourceLocation::current()) noexcept;

}  // namespace dmabuffs
