// SPDX-License-Identifier: MIT
/// Words that people write: names of formats and modifiers.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmabuffs::image {

/// Whether they are the same but for capitals (of ASCII, whatever the locale).
bool same_word(std::string_view a, std::string_view b);
/// As messages show what was written: 'NV12'. No more than 40 bytes of it, and control characters as '?'.
std::string in_quotes(std::string_view word);
/// A decimal number and nothing else.
std::optional<uint64_t> number(std::string_view text);
/// A number as C writes it, decimal or 0x hex.
std::optional<uint64_t> number_or_hex(std::string_view text);
/// What stands between the characters `at`: one part more than there are of them.
std::vector<std::string_view> split(std::string_view text, char at);

}  // namespace dmabuffs::image
