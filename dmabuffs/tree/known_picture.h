// SPDX-License-Identifier: MIT
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "dmabuffs/control/message.h"
#include "dmabuffs/image/picture.h"

namespace dmabuffs {

/// The attribute of a buffer that says what picture is in it: image::to_text(), and ":from=name" where that
/// is only what the name of the file says that was copied into it.
inline constexpr const char* kPictureAttribute = "user.dmabuffs.format";

/// What picture is said to be in a file. Nobody promises that there is one, or that all of it is there.
struct KnownPicture {
  image::Picture picture;
  bool guessed = false;  ///< from a name
};

std::string to_attribute(const KnownPicture& known);
/// EINVAL: not that; the message says why.
Result<KnownPicture> from_attribute(std::string_view value);
/// What the name of a file of `size` bytes says.
std::optional<KnownPicture> guess_from(const std::string& name, uint64_t size);
/// docs/json.md, "format".
Json to_json(const KnownPicture& known);

}  // namespace dmabuffs
