// SPDX-License-Identifier: MIT
#pragma once
#include <string_view>

namespace dmabuffs::fuzz {

/// A file, and what is said of the picture in it, by a stranger. Lines, each of which may be missing:
///
///     what from_text() reads
///     the file's name, for guess()
///     its length; more than 256 KiB are taken for less
///     a matrix, a range and a channel, for make_look()
///
/// The bytes that follow are the file's, over and over until it is that long. Ends the process when bytes
/// beyond the file are asked for, a picture does not come back from its own text, or one that is read in
/// smaller bands is another.
void image(std::string_view input);

}  // namespace dmabuffs::fuzz
