// SPDX-License-Identifier: MIT
/// The daemon's log: stderr in the foreground, syslog in the background. Use spdlog::info/warn/error/debug.
#pragma once
#include <spdlog/spdlog.h>

namespace dmabuffs {

/// `foreground`: to stderr, else to syslog as "dmabuffs". `debug`: also the debug lines.
void start_log(bool foreground, bool debug);

}  // namespace dmabuffs
