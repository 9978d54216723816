// SPDX-License-Identifier: MIT
#pragma once
#include <string_view>

namespace dmabuffs::fuzz {

/// What a stranger may send to either end of the control socket, as text. Its first line says to whom:
///
///     server              the lines that follow are messages of a client; a digit before one says how many
///                         descriptors come with it, and TICKET in it stands for that of a buffer that is
///                         open
///     client              they are what a daemon answers after its "hello"
///     hello               the first of them is that "hello"
///
/// Ends the process when a reply of the server is no message, or one has more than it may.
void control(std::string_view input);

}  // namespace dmabuffs::fuzz
