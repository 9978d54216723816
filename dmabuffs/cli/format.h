// SPDX-License-Identifier: MIT
/// Numbers, names and tables for people.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace dmabuffs::cli {

/// "0 B", "1023 B", "1.5 MiB": binary units, one decimal above bytes.
std::string human_bytes(uint64_t bytes);
/// "0:07", "1:02:03".
std::string human_seconds(uint64_t seconds);

/// The name of a user, "uid N" where he has none.
std::string user_name(uid_t user);

/// A name as `ls -b` shows it, but for spaces: "\n", "\033" for what would break the line or drive the
/// terminal, also for what is no UTF-8.
std::string escape_name(const std::string& name);
/// A sentence that may have names in it: the same, but backslashes stay single.
std::string escape_controls(const std::string& text);

/// Columns as wide as their widest cell; the first row is the heading. `right`: columns (from 0) set to the
/// right.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& right);

}  // namespace dmabuffs::cli
