// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <string_view>

namespace dmabuffs {

/// How many letters have to be put in, taken out, replaced or exchanged with the next to make one of the
/// other, capitals or not: what a mistyped word is told from an unknown one by. Takes time and memory of
/// `a.size() * b.size()`.
size_t edits_between(std::string_view a, std::string_view b);

}  // namespace dmabuffs
