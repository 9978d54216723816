// SPDX-License-Identifier: MIT
/// A piece between a buffer and a file or another buffer: leases the memory, has it planned, runs the paths,
/// commits.
#pragma once
#include <cstdint>

#include "dmabuffs/transfer/engine.h"
#include "dmabuffs/transfer/file_piece.h"
#include "dmabuffs/transfer/paths.h"

namespace dmabuffs {

/// File to buffer; `length` bytes that the source has.
Outcome load(Workshop& shop, FileSystems& known, const Copy& copy, uint64_t length);
/// Whether load() will take these `length` bytes in one go: the whole source of an empty buffer whose heap
/// can read it as it allocates, if it may be expected not to take long.
bool may_load_at_once(const Workshop& shop, const FileSystems& known, const Copy& copy, uint64_t length);
/// Buffer to file.
Outcome save(Workshop& shop, FileSystems& known, const Copy& copy, uint64_t length);
/// Buffer to buffer; ranges of one buffer must not overlap.
Outcome copy_buffers(Workshop& shop, const Copy& copy, uint64_t length);

}  // namespace dmabuffs
