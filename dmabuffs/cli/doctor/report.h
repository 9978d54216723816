// SPDX-License-Identifier: MIT
/// A diagnosis as JSON and as text.
#pragma once
#include <string>

#include "dmabuffs/cli/doctor/checks.h"

namespace dmabuffs::cli {

/// {"checks":[{"name","state","detail","fix"}],"heaps":[{"name","kind","is_dmabuf","usable","path","reason"}],
/// "direct":bool}; a fix or path that there is not is null.
std::string diagnosis_json(const Diagnosis& diagnosis);

/// For people; lines of at most 80 columns but for names and commands that can't be broken.
std::string diagnosis_text(const Machine& machine, const Diagnosis& diagnosis, bool colours);

}  // namespace dmabuffs::cli
