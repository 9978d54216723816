// SPDX-License-Identifier: MIT
/// What was measured, as text, markdown, JSON and a chart.
#pragma once
#include <string>
#include <vector>

#include "dmabuffs/cli/bench/environment.h"
#include "dmabuffs/cli/bench/measure.h"

namespace dmabuffs::cli::bench {

/// Of rows of one direction.
struct Group {
  Measured measured;
  const Row* baseline = nullptr;  ///< null: it can't run here
};

struct Report {
  std::string file;
  uint64_t size = 0, each = 0;  ///< bytes; of a buffer
  unsigned runs = 0;
  bool keep_caches = false;
  Environment environment;
  std::vector<Group> groups;
  std::vector<const Row*> left_out;  ///< that were wanted and can't run here
};

/// Table for a terminal; or for a page, as GitHub's markdown has it.
std::string report_text(const Report& report, bool markdown);
/// See docs/json.md.
std::string report_json(const Report& report);
/// A bar chart of the medians: create, I/O and close on end, and a line from the fastest to the slowest run.
std::string report_svg(const Report& report);

/// Whether no row failed, and each control was noticed.
bool all_well(const Report& report);

}  // namespace dmabuffs::cli::bench
