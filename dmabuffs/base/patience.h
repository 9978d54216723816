// SPDX-License-Identifier: MIT
#pragma once
#include <chrono>
#include <functional>

namespace dmabuffs {

/// Asks `question`, which may never end: a request that a FUSE server has taken and does not answer can't be
/// killed. False: it took longer than `limit`, and is left behind. So it owns all that it uses, and makes
/// system calls only. True as well where there is no process to ask it.
bool ends_within(std::chrono::milliseconds limit, std::function<void()> question);

}  // namespace dmabuffs
