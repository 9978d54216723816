// SPDX-License-Identifier: MIT
/// `dmabuffs diff A B`: where and how much two files differ, in bytes and in pixels.
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/look/choice.h"
#include "dmabuffs/cli/look/difference.h"
#include "dmabuffs/cli/look/sink.h"

namespace dmabuffs::cli {

namespace {

using image::Picture;

constexpr int kTrouble = 2;

int trouble(const std::string& message) {
  (void)report(message);
  return kTrouble;
}

/// What is known of one file and not of the other is taken for both: with the same rows where the files are
/// of one size, else without padding where that makes whole frames, else as it fits.
Result<Picture> taken_from_other(const Source& source, const Source& other, const Picture& others) {
  const Picture tight = without_padding(others);
  const uint64_t size = source.size().value_or(0);
  const bool same_rows =
      source.size() == other.size() || (size % frame_bytes(tight) != 0 && size >= frame_bytes(others));
  const Picture picture = same_rows ? others : tight;
  if (!image::check_fits(picture, size))
    return fail(EINVAL, source.name() + ": which picture? --format F --size WxH; the other file is " +
                            image::to_text(others));
  (void)report(source.name() + ": taken for " + layout_text(picture) + ", as the other file is");
  return picture;
}

Result<void> choose_pictures(Sides& sides, const DiffOptions& options) {
  for (size_t i = 0; i < 2; ++i)
    if (const auto choice =
            TRY(choose_picture(*sides.source[i], i == 0 ? options.a : options.b, options.picture, true)))
      sides.picture[i] = choice->picture;
  for (size_t i = 0; i < 2; ++i)
    if (!sides.picture[i] && sides.picture[1 - i])
      sides.picture[i] = TRY(taken_from_other(*sides.source[i], *sides.source[1 - i], *sides.picture[1 - i]));
  if (!sides.has_pictures()) return {};
  // The same tiles at least have the same bytes.
  if (const auto linear = image::check_linear(*sides.picture[0]); !linear && sides.laid_out_alike()) {
    if (!options.image.empty()) return fail(linear.error().code, "no image: " + linear.error().message);
    (void)report("only bytes are compared: " + linear.error().message);
    sides.picture = {};
    return {};
  }
  sides.only = options.frame;
  for (size_t i = 0; i < 2; ++i) {
    sides.frames[i] = whole_frames(*sides.picture[i], sides.source[i]->size().value_or(0));
    if (sides.comparable()) TRY(check_readable(*sides.picture[i], *sides.source[i], sides.first_frame()));
  }
  return {};
}

/// Whether the PNG of what differs has a place to go to.
Result<void> check_image(const Sides& sides, const std::string& path) {
  for (const Source* source : sides.source)
    if (source->is(path))
      return fail(EINVAL, "'" + source->name() + "' and '" + path + "' are the same file");
  return {};
}

}  // namespace

int run_diff(const DiffOptions& options) {
  std::array<Source, 2> sources;
  Sides sides;
  sides.tolerance = options.tolerance;
  if (options.a == "-" && options.b == "-") return misuse("diff", "standard input is one file, not two");
  if (options.image == "-")
    return misuse("diff", "--image -: what differs is told on standard output; --image OUT.png");
  for (size_t i = 0; i < 2; ++i) {
    auto source = Source::open(i == 0 ? options.a : options.b);
    if (!source) return trouble(source.error().message);
    sources[i] = std::move(*source);
    if (!sources[i].size())
      if (const auto held = sources[i].hold(std::nullopt); !held) return trouble(held.error().message);
    sides.source[i] = &sources[i];
  }
  if (const auto apart = check_image(sides, options.image); !apart) return trouble(apart.error().message);
  if (const auto chosen = choose_pictures(sides, options); !chosen) return trouble(chosen.error().message);
  if (!options.image.empty() && !sides.has_pictures())
    return misuse("diff", "--image is of pictures: which? --format F --size WxH");
  const auto findings = find_differences(sides);
  if (!findings) return trouble(findings.error().message);
  if (!options.image.empty() && findings->other_pictures)
    (void)report(options.image +
                 ": not written; of pictures of different formats or sizes there is no image");
  if (!options.image.empty() && !findings->other_pictures)
    if (const auto written = write_marked(sides, findings->frame, options.image); !written)
      return trouble(written.error().message);
  const std::string text =
      options.json ? to_text(to_json(*findings, sides), 2) + "\n" : to_lines(*findings, sides);
  // Not by stdio, whose failure main takes for status 1.
  const auto told = write_all(STDOUT_FILENO, std::as_bytes(std::span(text)), "standard output");
  if (!told && told.error().code == EPIPE) return die_by(SIGPIPE);
  if (!told) return trouble(told.error().message);
  return findings->same(sides) ? 0 : 1;
}

}  // namespace dmabuffs::cli
