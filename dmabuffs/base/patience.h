// SPDX-License-Identifier: MIT
#pragma once
#include <chrono>
#include <functional>

namespace dmabuffs {

/// Runs `question`, which may never end (a request to a FUSE file system), in a thread. False: it took longer
/// than `limit`, and its thread is left behind; so it owns all that it uses, and asks only. Throws
/// std::system_error where there is no thread.
bool ends_within(std::chrono::milliseconds limit, std::function<void()> question);

}  // namespace dmabuffs
