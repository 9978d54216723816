// SPDX-License-Identifier: MIT
/// `dmabuffs hex FILE [OFFSET [LENGTH]]`: bytes as xxd prints them, with the plane and row they are of.
#include "dmabuffs/image/hex.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <vector>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/look/choice.h"
#include "dmabuffs/cli/look/sink.h"
#include "dmabuffs/cli/look/source.h"

namespace dmabuffs::cli {

namespace {

/// "4096", "0x1000", "4K".
Result<uint64_t> parse_place(const std::string& text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + (hex ? 2 : 0), end, value, hex ? 16 : 10);
  if (error == std::errc() && rest == end && value <= INT64_MAX) return value;
  if (!hex && !text.ends_with('%'))
    if (const auto size = parse_size(text)) return *size;
  return fail(EINVAL, "'" + text + "' is no number of bytes; write 4096, 0x1000 or 4K");
}

/// Of the bytes from `at` to before `end`, or to the file's end.
Result<void> print(Source& source, uint64_t at, uint64_t end, const image::Picture* picture) {
  constexpr size_t kAtOnce = size_t{256} << 10;
  std::vector<std::byte> bytes(kAtOnce);
  if (source.size()) {
    if (at > *source.size())
      return fail(EINVAL, source.name() + ": it has " + std::to_string(*source.size()) + " bytes, none at " +
                              std::to_string(at));
    end = std::min(end, *source.size());
  }
  for (uint64_t skipped = 0; !source.size() && skipped < at;) {
    const size_t got =
        TRY(source.read_next(std::span(bytes).first(std::min<uint64_t>(kAtOnce, at - skipped))));
    if (got == 0) return {};
    skipped += got;
  }
  while (at < end) {
    auto part = std::span(bytes).first(std::min<uint64_t>(kAtOnce, end - at));
    if (source.size())
      TRY(source.read(at, part));
    else
      part = part.first(TRY(source.read_next(part)));
    if (part.empty()) return {};
    const std::string lines = image::hex_lines(part, at, picture);
    TRY(write_all(STDOUT_FILENO, std::as_bytes(std::span(lines)), "standard output"));
    at += part.size();
  }
  return {};
}

}  // namespace

int run_hex(const HexOptions& options) {
  uint64_t offset = 0, length = INT64_MAX;
  for (const auto& [text, value] : {std::pair{&options.offset, &offset}, {&options.length, &length}}) {
    if (text->empty()) continue;
    const auto parsed = parse_place(*text);
    if (!parsed) return misuse("hex", parsed.error().message);
    *value = *parsed;
  }
  auto source = Source::open(options.file);
  if (!source) return report(source.error().message);
  std::optional<Choice> choice;
  if (!options.plain) {
    auto chosen = choose_picture(*source, options.file, options.picture, false);
    if (!chosen) return misuse("hex", chosen.error().message);
    choice = *chosen;
  }
  // Where pixels are not in rows there is none to name.
  const bool rows = choice && image::check_linear(choice->picture);
  const auto printed = print(*source, offset, offset + std::min<uint64_t>(length, UINT64_MAX - offset),
                             rows ? &choice->picture : nullptr);
  if (!printed && printed.error().code == EPIPE) return die_by(SIGPIPE);
  return printed ? 0 : report(printed.error().message);
}

}  // namespace dmabuffs::cli
