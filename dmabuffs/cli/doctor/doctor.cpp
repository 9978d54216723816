// SPDX-License-Identifier: MIT
/// `dmabuffs doctor`: what this machine can do, which path will run, and the line that fixes the rest.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <set>

#include "dmabuffs/base/child_process.h"
#include "dmabuffs/base/log.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/doctor/report.h"

namespace dmabuffs::cli {
namespace {

/// A fix may bring forth what needs the next one (a module, then its limits).
constexpr int kRounds = 4;

bool run_line(const std::string& line) {
  std::cerr << "+ " << line << std::endl;
  const int status = std::system(line.c_str());
  if (status == 0) return true;
  report("doctor: that failed with status " + std::to_string(shell_status(status)));
  return false;
}

/// Runs each fix once. False if one failed.
bool run_fixes() {
  std::set<std::string> tried;
  bool all = true;
  for (int round = 0; round < kRounds; ++round) {
    const size_t before = tried.size();
    for (const Check& check : diagnose(this_machine(true)).checks)
      if (check.state != CheckState::Ok && !check.fix.empty() && tried.insert(check.fix).second)
        all = run_line(check.fix) && all;
    if (tried.size() == before) break;
  }
  return all;
}

void tell_the_rest(const Diagnosis& diagnosis) {
  for (const Check& check : diagnosis.checks)
    if (check.state == CheckState::Missing)
      report("doctor: " + check.name + " can't be fixed by a command here: " + check.detail);
}

}  // namespace

int run_doctor(const DoctorSettings& settings) {
  if (settings.fix && ::geteuid() != 0) return report("doctor: --fix needs root: sudo dmabuffs doctor --fix");
  const bool fixed = !settings.fix || run_fixes();
  const Machine machine = this_machine(settings.fix);
  const Diagnosis diagnosis = diagnose(machine);
  const bool colours = ::isatty(STDOUT_FILENO) == 1 && colours_wanted();
  std::cout << (settings.json ? diagnosis_json(diagnosis) : diagnosis_text(machine, diagnosis, colours))
            << std::flush;
  if (settings.fix) tell_the_rest(diagnosis);
  return diagnosis.direct && fixed ? 0 : 1;
}

}  // namespace dmabuffs::cli
