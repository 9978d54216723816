// SPDX-License-Identifier: MIT
/// Numbers and tables for people.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace dmabuffs::cli {

/// "0 B", "1023 B", "1.5 MiB": binary units, one decimal above bytes.
std::string human_bytes(uint64_t bytes);
/// "0:07", "1:02:03".
std::string human_seconds(uint64_t seconds);

/// Columns as wide as their widest cell; the first row is the heading. `right`: columns (from 0) set to the
/// right.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& right);

}  // namespace dmabuffs::cli
