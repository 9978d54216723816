// SPDX-License-Identifier: MIT
/// Which bytes of a piece go by which path: a pure decision, no system call.
#pragma once
#include <optional>
#include <vector>

#include "dmabuffs/transfer/path.h"

namespace dmabuffs {

struct Part {
  Path path;
  uint64_t length;
  std::string why;  ///< why not a better path; empty: there is none
};

struct Plan {
  std::vector<Part> parts;             ///< in order, without gaps, their lengths sum up to the piece's
  std::optional<std::string> refusal;  ///< require_direct, and the aligned body would not go direct: why
};

Plan plan(const Situation& situation);

}  // namespace dmabuffs
