// SPDX-License-Identifier: MIT
/// What was found, in lines and as JSON.
#include <cstdio>

#include "dmabuffs/cli/look/choice.h"
#include "dmabuffs/cli/look/difference.h"
#include "dmabuffs/cli/output.h"

namespace dmabuffs::cli {

namespace {

template <class... Values>
std::string formatted(const char* format, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

using Wide = unsigned long long;

std::string count(uint64_t number, const char* one) {
  return std::to_string(number) + " " + one + (number == 1 ? "" : "s");
}

std::string percent(uint64_t part, uint64_t whole) {
  return formatted("%.4g%%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string byte_text(uint64_t offset) {
  return formatted("byte %llu (0x%llx)", static_cast<Wide>(offset), static_cast<Wide>(offset));
}

uint64_t pixels_of(const Sides& sides) {
  return uint64_t{sides.picture[0]->width} * sides.picture[0]->height * sides.frames_compared();
}

/// "\nA: 100 bytes, B: 90 bytes" where they are not the same.
std::string sizes_text(const Findings& findings, const Sides& sides) {
  if (findings.sizes[0] == findings.sizes[1]) return "";
  return escape_controls(sides.source[0]->name()) + ": " + count(findings.sizes[0], "byte") + "; " +
         escape_controls(sides.source[1]->name()) + ": " + count(findings.sizes[1], "byte") + "\n";
}

std::string bytes_text(const Findings& findings) {
  const ByteDifference& bytes = *findings.bytes;
  const uint64_t compared = std::min(findings.sizes[0], findings.sizes[1]);
  if (!bytes.first) {
    if (findings.sizes[0] == findings.sizes[1]) return "the same: " + count(compared, "byte") + "\n";
    return compared == 0 ? "one is empty\n" : "the first " + count(compared, "byte") + " are the same\n";
  }
  return "first: " + byte_text(*bytes.first) +
         ", counted from 0: " + formatted("0x%02x against 0x%02x\n", bytes.values[0], bytes.values[1]) +
         "bytes: " + std::to_string(bytes.count) + " of " + std::to_string(compared) + " differ (" +
         percent(bytes.count, compared) + ")\n";
}

std::string first_text(const Findings& findings, const Sides& sides) {
  const image::Difference::First& first = *findings.all->first;
  const image::Format& format = *sides.picture[0]->format;
  std::string text = "first: " + byte_text(first.offset_a);
  if (first.offset_b != first.offset_a) text += " of the one, " + byte_text(first.offset_b) + " of the other";
  text += ", counted from 0: ";
  if (sides.frames_compared() > 1 || sides.only) text += "frame " + std::to_string(findings.frame) + ", ";
  return text + "plane " + std::to_string(first.plane) + " (" + format.plane_name(first.plane) + "), x " +
         std::to_string(first.x) + ", y " + std::to_string(first.y) + ", " + first.channel + " " +
         std::to_string(first.a) + " against " + std::to_string(first.b) + "\n";
}

/// "the same: 3 frames, 48", "the first 3 frames are the same: 48", "pixels: 1 of 48", and what they are.
std::string how_many_text(const Findings& findings, const Sides& sides, bool exactly) {
  const std::string pixels = std::to_string(pixels_of(sides)),
                    picture = ", " + short_text(*sides.picture[0]) + "\n";
  const uint64_t differ = findings.all->pixels, frames = sides.frames_compared();
  if (differ > 0)
    return "pixels: " + std::to_string(differ) + " of " + pixels + " differ (" +
           percent(differ, pixels_of(sides)) + ")" + picture;
  const std::string same = std::string("the same: ") + (exactly ? "" : "within the tolerance: ");
  if (!sides.as_many_frames())
    return "the first " + (frames == 1 ? "frame is " : count(frames, "frame") + " are ") + same + pixels +
           " pixels" + picture;
  return same + (frames > 1 ? count(frames, "frame") + ", " : "") + pixels + " pixels" + picture;
}

std::string behind_text(const Behind& behind) {
  std::string text = "behind the last whole frame: " + count(behind.bytes[0], "byte");
  if (behind.bytes[0] != behind.bytes[1])
    text += " of the one, " + count(behind.bytes[1], "byte") + " of the other";
  if (!behind.compared) return text + ", which can't be compared: rows lie differently in the two\n";
  if (behind.first) return text + ", which differ, first in " + byte_text(*behind.first) + "\n";
  return text + (behind.bytes[0] == behind.bytes[1] ? ", the same\n" : "\n");
}

std::string pixels_text(const Findings& findings, const Sides& sides) {
  const image::Difference& all = *findings.all;
  const image::Format& format = *sides.picture[0]->format;
  std::string text;
  if (!sides.as_many_frames())
    text += "frames: " + std::to_string(sides.frames[0]) + " and " + std::to_string(sides.frames[1]) + "\n";
  const auto psnr = all.psnr(format);
  if (all.first) text += first_text(findings, sides);
  text += how_many_text(findings, sides, !psnr);
  if (findings.padding_differs) text += "bits of these frames that are no pixels differ\n";
  if (findings.behind) text += behind_text(*findings.behind);
  if (psnr) {
    text += "largest difference:";
    for (size_t i = 0; i < format.channels.size(); ++i)
      if (format.channels[i].name != 0)
        text += std::string(" ") + format.channels[i].name + " " + std::to_string(all.largest[i]);
    text += formatted("\nPSNR: %.2f dB\n", *psnr);
  }
  return text;
}

Json first_json(const Findings& findings) {
  if (findings.bytes) {
    if (!findings.bytes->first) return nullptr;
    return {{"byte", {*findings.bytes->first, *findings.bytes->first}}, {"value", findings.bytes->values}};
  }
  if (!findings.all || !findings.all->first) return nullptr;
  const image::Difference::First& first = *findings.all->first;
  return {{"byte", {first.offset_a, first.offset_b}},
          {"value", {first.a, first.b}},
          {"frame", findings.frame},
          {"plane", first.plane},
          {"channel", std::string(1, first.channel)},
          {"x", first.x},
          {"y", first.y}};
}

}  // namespace

std::string to_lines(const Findings& findings, const Sides& sides) {
  std::string text = sizes_text(findings, sides);
  if (findings.other_pictures)
    return text + "different pictures: " + image::to_text(*sides.picture[0]) + " and " +
           image::to_text(*sides.picture[1]) + "\n";
  return text + (findings.bytes ? bytes_text(findings) : pixels_text(findings, sides));
}

Json to_json(const Findings& findings, const Sides& sides) {
  Json json{{"files", {sides.source[0]->name(), sides.source[1]->name()}},
            {"same", findings.same(sides)},
            {"sizes", findings.sizes},
            {"tolerance", sides.tolerance},
            {"formats", nullptr},
            {"frames", nullptr},
            {"first", first_json(findings)},
            {"bytes_differ", nullptr},
            {"pixels", nullptr},
            {"pixels_differ", nullptr},
            {"padding_differs", findings.padding_differs},
            {"behind", nullptr},
            {"largest", nullptr},
            {"psnr", nullptr}};
  if (findings.bytes) json["bytes_differ"] = findings.bytes->count;
  if (!sides.has_pictures()) return json;
  json["formats"] = {image::to_text(*sides.picture[0]), image::to_text(*sides.picture[1])};
  json["frames"] = sides.frames;
  if (!findings.all) return json;
  const image::Format& format = *sides.picture[0]->format;
  if (findings.behind)
    json["behind"] = {{"bytes", findings.behind->bytes},
                      {"differ", findings.behind->compared ? Json(findings.behind->differs()) : Json()}};
  json["pixels"] = pixels_of(sides);
  json["pixels_differ"] = findings.all->pixels;
  for (size_t i = 0; i < format.channels.size(); ++i)
    if (format.channels[i].name != 0)
      json["largest"][std::string(1, format.channels[i].name)] = findings.all->largest[i];
  if (const auto psnr = findings.all->psnr(format)) json["psnr"] = *psnr;
  return json;
}

}  // namespace dmabuffs::cli
