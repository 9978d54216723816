// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/look/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "dmabuffs/cli/look/sink.h"
#include "dmabuffs/image/png.h"

namespace dmabuffs::cli {

namespace {

constexpr Extent kUsualCell{8, 16};  // pixels, where the terminal does not tell: rather too few

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool knows_kitty_protocol() {
  const std::string_view term = variable("TERM"), program = variable("TERM_PROGRAM");
  // They keep the variables of the terminal that they were started on, but not its pictures.
  if (term.starts_with("screen") || term.starts_with("tmux")) return false;
  return term == "xterm-kitty" || term == "xterm-ghostty" || program == "WezTerm" || program == "ghostty" ||
         !variable("KITTY_WINDOW_ID").empty() || !variable("WEZTERM_EXECUTABLE").empty() ||
         !variable("GHOSTTY_RESOURCES_DIR").empty() || !variable("KONSOLE_VERSION").empty();
}

Result<void> put(std::string_view text) {
  return write_all(STDOUT_FILENO, std::as_bytes(std::span(text)), "standard output");
}

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](size_t at) { return at < bytes.size() ? static_cast<uint32_t>(bytes[at]) : 0; };
    const uint32_t three = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (const int shift : {18, 12, 6, 0}) text += kLetters[three >> shift & 63];
  }
  constexpr std::array<size_t, 3> kPadding{0, 2, 1};
  const size_t padding = kPadding[bytes.size() % 3];
  std::fill(text.end() - static_cast<std::ptrdiff_t>(padding), text.end(), '=');
  return text;
}

/// As a PNG, in base64, in pieces: the most that the protocol allows in one.
Result<void> send_png(std::span<const std::byte> png) {
  constexpr size_t kPiece = 4096 / 4 * 3;
  for (size_t at = 0; at < png.size(); at += kPiece) {
    const auto piece = png.subspan(at, std::min(kPiece, png.size() - at));
    // q=2: no answer, which nobody here would read.
    std::string text = at == 0 ? "\033_Ga=T,f=100,q=2," : "\033_G";
    text += at + kPiece < png.size() ? "m=1;" : "m=0;";
    TRY(put(text + base64(piece) + "\033\\"));
  }
  return put("\n");
}

/// Rows of pixels, two to a line of characters: the upper one's colour is that of the block, the lower one's
/// that of its ground.
class HalfBlocks {
 public:
  Result<void> add(std::span<const uint8_t> row) {
    if (upper_.empty()) {
      upper_.assign(row.begin(), row.end());
      return {};
    }
    return line(row);
  }
  Result<void> finish() { return upper_.empty() ? Result<void>{} : line({}); }

 private:
  static constexpr size_t kPixel = 4;

  Result<void> line(std::span<const uint8_t> lower) {
    std::string text, block_before, ground_before;
    for (size_t at = 0; at < upper_.size(); at += kPixel) {
      std::string block = colour("38", std::span(upper_).subspan(at, kPixel));
      std::string ground = lower.empty() ? "\033[49m" : colour("48", lower.subspan(at, kPixel));
      if (block != block_before) text += block;
      if (ground != ground_before) text += ground;
      text += "\u2580";
      block_before = std::move(block);
      ground_before = std::move(ground);
    }
    upper_.clear();
    return put(text + "\033[0m\n");
  }

  /// What shines through is black.
  static std::string colour(const char* which, std::span<const uint8_t> pixel) {
    std::string text = std::string("\033[") + which + ";2";
    for (size_t i = 0; i < 3; ++i) text += ";" + std::to_string(pixel[i] * pixel[3] / 255);
    return text + "m";
  }

  std::vector<uint8_t> upper_;
};

}  // namespace

Result<Terminal> terminal_at(int fd) {
  if (variable("TERM").empty() || variable("TERM") == "dumb")
    return fail(ENOTTY, "this terminal shows no colours; write a PNG: -o OUT.png");
  Terminal terminal;
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    terminal.columns = size.ws_col;
    terminal.rows = size.ws_row;
    terminal.width = size.ws_xpixel;
    terminal.height = size.ws_ypixel;
  }
  if (terminal.width == 0 || terminal.height == 0) {
    terminal.width = terminal.columns * kUsualCell.width;
    terminal.height = terminal.rows * kUsualCell.height;
  }
  terminal.takes_pictures = knows_kitty_protocol();
  return terminal;
}

Extent fitted(Extent picture, Extent room) {
  Extent extent = picture;
  const auto scaled = [](uint32_t side, uint32_t by, uint32_t of) {
    return static_cast<uint32_t>(std::max<uint64_t>(1, (uint64_t{side} * by + of / 2) / of));
  };
  if (extent.width > room.width) extent = {room.width, scaled(picture.height, room.width, picture.width)};
  if (extent.height > room.height) extent = {scaled(picture.width, room.height, picture.height), room.height};
  return extent;
}

Result<void> draw(const Terminal& terminal, const image::Picture& picture, const image::ReadAt& read,
                  const image::Look& look) {
  // The last line is for what comes next.
  const uint32_t rows = std::max(2U, terminal.rows) - 1;
  const Extent whole{picture.width, picture.height};
  const bool sent = terminal.takes_pictures;
  const Extent room = sent ? Extent{terminal.width, terminal.height / std::max(1U, terminal.rows) * rows}
                           : Extent{terminal.columns, rows * 2};
  const Extent extent = fitted(whole, {std::max(1U, room.width), std::max(1U, room.height)});
  std::vector<std::byte> bytes;
  const bool alpha = picture.format->has_alpha() && look.channel == 0;
  image::PngWriter png(extent.width, extent.height, alpha, [&bytes](std::span<const std::byte> part) {
    bytes.insert(bytes.end(), part.begin(), part.end());
    return Result<void>{};
  });
  HalfBlocks blocks;
  Shrinker shrinker(whole.width, whole.height, extent.width, extent.height,
                    [&](std::span<const uint8_t> row) { return sent ? png.write(row) : blocks.add(row); });
  TRY(each_band(picture, read, look, [&](std::span<const uint8_t> rgba) { return shrinker.add(rgba); }));
  if (!sent) return blocks.finish();
  TRY(png.finish());
  return send_png(bytes);
}

}  // namespace dmabuffs::cli
