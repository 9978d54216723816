// SPDX-License-Identifier: MIT
#include "fuzz/image.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <string>
#include <vector>

#include "dmabuffs/image/band.h"
#include "dmabuffs/image/compare.h"
#include "dmabuffs/image/hex.h"
#include "dmabuffs/image/picture.h"
#include "dmabuffs/image/pixels.h"
#include "dmabuffs/image/words.h"
#include "fuzz/demand.h"

namespace dmabuffs::fuzz {

namespace {

using namespace dmabuffs::image;

constexpr uint64_t kMostBytes = 256 * 1024;
constexpr size_t kMostHex = 1024;

using File = std::vector<std::byte>;

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

uint64_t number_in(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

File file_of(uint64_t length, std::string_view bytes) {
  File file(length % (kMostBytes + 1));
  for (size_t i = 0; i < file.size() && !bytes.empty(); ++i)
    file[i] = static_cast<std::byte>(bytes[i % bytes.size()]);
  return file;
}

ReadAt reader_of(const File& file) {
  return [&file](uint64_t offset, std::span<std::byte> to) -> Result<void> {
    demand(offset <= file.size() && to.size() <= file.size() - offset, "only the file's bytes are read");
    std::copy_n(file.begin() + static_cast<ptrdiff_t>(offset), to.size(), to.begin());
    return {};
  };
}

void check_message(const Error& error) {
  demand(!error.message.empty(), "an error says why");
  demand(std::ranges::none_of(error.message, [](char c) { return static_cast<unsigned char>(c) < ' '; }),
         "a message has no control characters");
}

void check_text(const Picture& picture) {
  const std::string text = to_text(picture);
  const auto again = from_text(text);
  demand(again && *again == picture, "a picture comes back from its own text");
  demand(to_text(*again) == text, "that text stays the same");
}

std::vector<uint8_t> rgba_of(const Picture& picture, const File& file, const Look& look, uint32_t rows) {
  std::vector<uint8_t> all;
  BandReader bands(picture, reader_of(file), rows);
  for (;;) {
    const auto band = bands.next();
    demand(band.has_value(), "a picture that fits is read");
    if (band->rows == 0) break;
    const size_t at = all.size();
    demand(at == size_t{band->first} * picture.width * 4, "bands follow each other");
    all.resize(at + size_t{band->rows} * picture.width * 4);
    to_rgba(picture, *band, look, std::span(all).subspan(at));
  }
  demand(all.size() == size_t{picture.height} * picture.width * 4, "all rows are read");
  return all;
}

void check_pixels(const Picture& picture, const File& file, std::string_view words) {
  const auto parts = split(words, ' ');
  const auto part = [&](size_t i) { return i < parts.size() ? parts[i] : std::string_view(); };
  const auto look = make_look(picture, part(0), part(1), part(2));
  if (!look) return;
  const auto all = rgba_of(picture, file, *look, usual_rows(picture));
  for (const uint32_t rows : {1U, 3U})
    demand(rgba_of(picture, file, *look, rows) == all, "how much is read at once does not matter");
}

void check_comparison(const Picture& picture, const File& file) {
  uint32_t rows = 0;
  const auto same = compare(picture, reader_of(file), picture, reader_of(file), 0, [&](uint32_t y, auto) {
    demand(y == rows++, "rows come in order");
    return Result<void>();
  });
  demand(same && !same->first && same->pixels == 0, "a picture is like itself");
  demand(rows == picture.height, "all rows come");
  File other = file;
  other[file.size() / 2] ^= std::byte{0x55};
  const auto changed = compare(picture, reader_of(file), picture, reader_of(other), 0, nullptr);
  demand(changed.has_value(), "pictures that fit are compared");
  demand(changed->first.has_value() == (changed->pixels > 0), "what differs is somewhere");
  demand(changed->pixels <= uint64_t{picture.width} * picture.height, "no more than all pixels differ");
  demand(changed->psnr(*picture.format).has_value() || changed->pixels == 0 || picture.format->has_alpha(),
         "what differs is measured");
}

void check_hex(const Picture& picture, const File& file) {
  const size_t length = std::min(file.size(), kMostHex);
  const size_t begin = (file.size() - length) / 16 * 16;
  const std::string lines = hex_lines(std::span(file).subspan(begin, length), begin, &picture);
  demand(static_cast<size_t>(std::ranges::count(lines, '\n')) == (length + 15) / 16, "16 bytes are a line");
}

void look_at(const Picture& picture, const File& file, std::string_view look) {
  check_text(picture);
  const auto fits = check_fits(picture, file.size());
  const auto linear = check_linear(picture);
  demand(fits.has_value() == (picture.end() <= file.size()), "what ends within the file fits");
  if (!fits) check_message(fits.error());
  if (!linear) check_message(linear.error());
  if (!fits || !linear) return;
  check_pixels(picture, file, look);
  check_comparison(picture, file);
  check_hex(picture, file);
}

}  // namespace

void image(std::string_view input) {
  const std::string_view text = take_line(input);
  const std::string_view name = take_line(input);
  const uint64_t length = number_in(take_line(input));
  const std::string_view look = take_line(input);
  const File file = file_of(length, input);

  const auto said = from_text(text);
  if (said)
    look_at(*said, file, look);
  else
    check_message(said.error());
  if (const auto guessed = guess(name, file.size())) {
    demand(check_fits(*guessed, file.size()).has_value(), "what is guessed fits");
    look_at(*guessed, file, look);
  }
}

}  // namespace dmabuffs::fuzz
