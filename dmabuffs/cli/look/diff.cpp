// SPDX-License-Identifier: MIT
/// `dmabuffs diff A B`: where and how much two files differ, in bytes and in pixels.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/look/choice.h"
#include "dmabuffs/cli/look/difference.h"

namespace dmabuffs::cli {

namespace {

using image::Picture;

constexpr int kTrouble = 2;

int trouble(const std::string& message) {
  (void)report(message);
  return kTrouble;
}

/// What is known of one file and not of the other is taken for both, if it can be: with the same rows, or
/// without padding.
Result<Choice> taken_from_other(const Source& source, const Picture& other) {
  Picture picture = other;
  if (source.size() < frame_bytes(other)) {
    const auto tight =
        TRY(image::make_picture({.format = std::string(other.format->name),
                                 .size = std::to_string(other.width) + "x" + std::to_string(other.height),
                                 .stride = "",
                                 .offset = "",
                                 .modifier = ""},
                                image::Padding::None));
    picture = tight;
  }
  if (!image::check_fits(picture, source.size().value_or(0)))
    return fail(EINVAL, source.name() + ": which picture? --format F --size WxH; the other file is " +
                            image::to_text(other));
  (void)report(source.name() + ": taken for " + short_text(picture) + ", as the other file is");
  return Choice{picture, false};
}

/// Of a file of several pictures how many there are; where it is not made up of them, one.
uint64_t frames_in(const Source& source, const Choice& choice) {
  const uint64_t size = source.size().value_or(0), each = frame_bytes(choice.picture);
  return choice.set || size % each != 0 ? 1 : size / each;
}

Result<void> choose_pictures(Sides& sides, const DiffOptions& options) {
  std::array<std::optional<Choice>, 2> choices;
  for (size_t i = 0; i < 2; ++i)
    choices[i] = TRY(choose_picture(*sides.source[i], i == 0 ? options.a : options.b, options.picture, true));
  for (size_t i = 0; i < 2; ++i)
    if (!choices[i] && choices[1 - i])
      choices[i] = TRY(taken_from_other(*sides.source[i], choices[1 - i]->picture));
  if (!choices[0]) return {};
  // The same tiles at least have the same bytes.
  if (choices[0]->picture == choices[1]->picture && !image::check_linear(choices[0]->picture)) {
    (void)report("only bytes are compared: " + image::check_linear(choices[0]->picture).error().message);
    return {};
  }
  const bool alike = choices[0]->picture.format == choices[1]->picture.format &&
                     choices[0]->picture.width == choices[1]->picture.width &&
                     choices[0]->picture.height == choices[1]->picture.height;
  for (size_t i = 0; i < 2; ++i) {
    const Picture& picture = choices[i]->picture;
    sides.picture[i] = picture;
    sides.frames[i] = options.frame ? 1 : frames_in(*sides.source[i], *choices[i]);
    if (options.frame && *options.frame > UINT64_MAX / 2 / frame_bytes(picture))
      return fail(EINVAL, sides.source[i]->name() + ": it has no frame " + std::to_string(*options.frame));
    sides.offset[i] = options.frame.value_or(0) * frame_bytes(picture);
    if (alike) TRY(check_readable(picture, *sides.source[i], sides.offset[i]));
  }
  return {};
}

}  // namespace

int run_diff(const DiffOptions& options) {
  std::array<Source, 2> sources;
  Sides sides;
  sides.tolerance = options.tolerance;
  if (options.a == "-" && options.b == "-") return misuse("diff", "standard input is one file, not two");
  for (size_t i = 0; i < 2; ++i) {
    auto source = Source::open(i == 0 ? options.a : options.b);
    if (!source) return trouble(source.error().message);
    sources[i] = std::move(*source);
    if (!sources[i].size())
      if (const auto held = sources[i].hold(std::nullopt); !held) return trouble(held.error().message);
    sides.source[i] = &sources[i];
  }
  if (const auto chosen = choose_pictures(sides, options); !chosen) return trouble(chosen.error().message);
  if (!options.image.empty() && !sides.has_pictures())
    return misuse("diff", "--image is of pictures: which? --format F --size WxH");
  const auto findings = find_differences(sides);
  if (!findings) return trouble(findings.error().message);
  if (!options.image.empty() && !findings->other_pictures)
    if (const auto written = write_marked(sides, findings->frame, options.image); !written)
      return trouble(written.error().message);
  if (options.json)
    std::printf("%s\n", to_text(to_json(*findings, sides), 2).c_str());
  else
    std::fputs(to_lines(*findings, sides).c_str(), stdout);
  // Lost output is trouble, not a difference.
  if (std::fflush(stdout) != 0) return trouble(std::string("standard output: ") + std::strerror(errno));
  return findings->same(sides) ? 0 : 1;
}

}  // namespace dmabuffs::cli
