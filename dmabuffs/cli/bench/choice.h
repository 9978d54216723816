// SPDX-License-Identifier: MIT
/// What of all that `bench` could do its options ask for.
#pragma once
#include <string>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/cli/bench/attempt.h"

namespace dmabuffs::cli::bench {

/// Bytes of a buffer, from "32x32M" (`chunks`) or "32M" (`each`); both empty: all of `size`. EINVAL: it can't
/// be cut so, or not into a file of that size.
Result<uint64_t> bytes_of_each(const std::string& chunks, const std::string& each, uint64_t size);

/// Whether `name` is wanted: one of `patterns` (as of a shell: ours-*) is like it, or there are none.
bool is_wanted(const std::string& name, const std::vector<std::string>& patterns);
/// The first of `patterns` that no row is like; empty: there is none.
std::string unknown_pattern(const std::vector<Row>& rows, const std::vector<std::string>& patterns);

/// The row that others of its direction are compared with: `asked`, if it is of that direction, else the
/// `usual` one; null where that can't run. EINVAL: `asked` can't.
Result<const Row*> choose_baseline(const std::vector<Row>& rows, Direction direction,
                                   const std::string& asked, const std::string& usual);

}  // namespace dmabuffs::cli::bench
