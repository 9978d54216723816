// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/known_picture.h"

namespace dmabuffs {

namespace {
constexpr std::string_view kGuessed = ":from=name";
}  // namespace

std::string to_attribute(const KnownPicture& known) {
  return image::to_text(known.picture) + std::string(known.guessed ? kGuessed : "");
}

Result<KnownPicture> from_attribute(std::string_view value) {
  KnownPicture known;
  known.guessed = value.ends_with(kGuessed);
  if (known.guessed) value.remove_suffix(kGuessed.size());
  known.picture = TRY(image::from_text(value));
  return known;
}

std::optional<KnownPicture> guess_from(const std::string& name, uint64_t size) {
  const auto guessed = image::guess(name, size);
  if (!guessed) return std::nullopt;
  return KnownPicture{*guessed, true};
}

Json to_json(const KnownPicture& known) {
  const image::Picture& picture = known.picture;
  Json planes = Json::array();
  for (size_t i = 0; i < picture.format->plane_count(); ++i)
    planes.push_back({{"offset", picture.planes[i].offset}, {"stride", picture.planes[i].stride}});
  return {{"fourcc", picture.format->name},
          {"width", picture.width},
          {"height", picture.height},
          {"planes", std::move(planes)},
          {"modifier", image::modifier_name(picture.modifier)},
          {"text", image::to_text(picture)},
          {"from", known.guessed ? "name" : "set"}};
}

}  // namespace dmabuffs
