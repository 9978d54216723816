// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/look/choice.h"

#include <algorithm>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/control/hand_out.h"
#include "dmabuffs/control/way.h"

namespace dmabuffs::cli {

using image::Picture;
using image::PictureWords;

namespace {

struct Known {
  Picture picture;
  bool set = false;
};

std::string name_in(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

/// What the mount knows of a buffer. A file that is none, or that may not be asked about, is like any other.
std::optional<Known> known_to_mount(const std::string& path) {
  if (path == "-" || !lies_in_mount(path)) return std::nullopt;
  Clients clients;
  const auto info = info_of(clients, path);
  if (!info) return std::nullopt;
  const auto format = info->find("format");
  if (format == info->end() || !format->is_object()) return std::nullopt;
  const auto picture = image::from_text(text_of(*format, "text").value_or(""));
  if (!picture) return std::nullopt;
  return Known{*picture, text_of(*format, "from") == "set"};
}

void tell_guess(const Source& source, const std::string& path, const Picture& picture) {
  const bool own = image::guess(name_in(path), source.size().value_or(0)).has_value();
  (void)report(source.name() + ": taken for " + layout_text(picture) + " by " +
               (own ? "its name" : "the name of the file that was copied there"));
}

std::optional<Known> known(const Source& source, const std::string& path) {
  auto found = known_to_mount(path);
  if (!found)
    if (const auto guessed = image::guess(name_in(path), source.size().value_or(0)))
      found = Known{*guessed, false};
  return found;
}

PictureWords words_of(const Picture& picture) {
  PictureWords words{.format = std::string(picture.format->name),
                     .size = std::to_string(picture.width) + "x" + std::to_string(picture.height)};
  for (size_t i = 0; i < picture.format->plane_count(); ++i) {
    words.stride += (i == 0 ? "" : ",") + std::to_string(picture.planes[i].stride);
    words.offset += (i == 0 ? "" : ",") + std::to_string(picture.planes[i].offset);
  }
  if (picture.modifier != 0) words.modifier = std::to_string(picture.modifier);
  return words;
}

bool same_planes(const image::Format& a, const image::Format& b) {
  return std::ranges::equal(a.planes, b.planes, [](const image::PlaneShape& x, const image::PlaneShape& y) {
    return x.bytes == y.bytes && x.horizontal == y.horizontal && x.vertical == y.vertical;
  });
}

/// What `words` leave open, taken from what is known. Where rows lie is known for these planes only.
Result<PictureWords> completed(const PictureWords& words, const Picture& by) {
  const PictureWords theirs = words_of(by);
  PictureWords all = words;
  if (all.format.empty()) all.format = theirs.format;
  if (all.size.empty()) all.size = theirs.size;
  if (all.modifier.empty()) all.modifier = theirs.modifier;
  const bool laid_out_alike = all.size == theirs.size && words.stride.empty() &&
                              same_planes(*TRY(image::format_named(all.format)), *by.format);
  if (!laid_out_alike) return all;
  all.stride = theirs.stride;
  if (all.offset.empty()) all.offset = theirs.offset;
  return all;
}

}  // namespace

Result<std::optional<Choice>> choose_picture(const Source& source, const std::string& path,
                                             const PictureWords& words, bool set_first) {
  const auto from = known(source, path);
  if (!from && words.empty()) return std::nullopt;
  if (from && !from->set && (words.format.empty() || words.size.empty()))
    tell_guess(source, path, from->picture);
  if (from && words.empty()) return Choice{from->picture};
  const auto all = from ? completed(words, from->picture) : Result<PictureWords>(words);
  auto picture = all ? image::make_picture(*all, image::Padding::None)
                     : Result<Picture>(pass(Result<PictureWords>(all)));
  if (!picture) return fail(picture.error().code, source.name() + ": " + picture.error().message);
  if (!from || !from->set || !set_first || *picture == from->picture) return Choice{*picture};
  (void)report(source.name() + ": compared as " + layout_text(from->picture) +
               ", as its mount was told, not as the options say");
  return Choice{from->picture};
}

std::string format_list() {
  std::string list;
  for (const image::Format& format : image::formats())
    list += (list.empty() ? "" : " ") + std::string(format.name);
  return list;
}

uint64_t frame_bytes(const Picture& picture) {
  return picture.padded_end() - first_byte(picture);
}

uint64_t first_byte(const Picture& picture) {
  uint64_t first = UINT64_MAX;
  for (size_t i = 0; i < picture.format->plane_count(); ++i)
    first = std::min(first, picture.planes[i].offset);
  return first;
}

uint64_t whole_frames(const Picture& picture, uint64_t size) {
  return size < picture.end() ? 0 : (size - picture.end()) / frame_bytes(picture) + 1;
}

Result<void> check_readable(const Picture& picture, const Source& source, uint64_t frame) {
  const uint64_t size = source.size().value_or(0);
  auto readable = image::check_linear(picture);
  if (readable) readable = image::check_fits(picture, size);
  if (!readable) return fail(readable.error().code, source.name() + ": " + readable.error().message);
  const uint64_t frames = whole_frames(picture, size);
  if (frame < frames) return {};
  return fail(EINVAL,
              source.name() + ": it has no frame " + std::to_string(frame) + ", but " +
                  (frames == 1 ? "one frame, 0"
                               : std::to_string(frames) + " frames, 0 to " + std::to_string(frames - 1)));
}

std::string short_text(const Picture& picture) {
  return std::string(picture.format->name) + " " + std::to_string(picture.width) + "x" +
         std::to_string(picture.height);
}

std::string layout_text(const Picture& picture) {
  return picture == without_padding(picture) ? short_text(picture) : image::to_text(picture);
}

Picture without_padding(const Picture& picture) {
  PictureWords words = words_of(picture);
  words.stride = words.offset = words.modifier = "";
  // Of a picture that there is one without padding can be made.
  return image::make_picture(words, image::Padding::None).value_or(picture);
}

}  // namespace dmabuffs::cli
