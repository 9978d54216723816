// SPDX-License-Identifier: MIT
#pragma once
#include <map>
#include <string>

namespace dmabuffs {

/// The lines "key:\tvalue" of a file such as /proc/self/fdinfo/3, proc_pid_fdinfo(5). The first of a key
/// counts: the last line of a dma-buf's is its name, which anybody may give, newlines in it. Empty: it can't
/// be read.
std::map<std::string, std::string> read_fdinfo(const std::string& path);

}  // namespace dmabuffs
