// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/views/rendering.h"

#include <algorithm>
#include <optional>
#include <span>

#include "dmabuffs/image/band.h"
#include "dmabuffs/image/hex.h"
#include "dmabuffs/image/pixels.h"
#include "dmabuffs/image/stored_png.h"

namespace dmabuffs {

namespace {

image::ReadAt reader_of(std::shared_ptr<Buffer> buffer, const std::string& name) {
  return [buffer = std::move(buffer), name](uint64_t offset, std::span<std::byte> to) -> Result<void> {
    while (!to.empty()) {
      const size_t got = TRY(buffer->read(offset, to));
      if (got == 0) return fail(EIO, name + ": became shorter while it was looked at");
      offset += got;
      to = to.subspan(got);
    }
    return {};
  };
}

constexpr uint64_t kAtOnce = 64 << 10;  // bytes of the buffer

/// So few that many may be looked at at once.
uint32_t rows_at_once(const image::Picture& picture) {
  return static_cast<uint32_t>(std::max<uint64_t>(kAtOnce / picture.row_bytes(0), 1));
}

class PngRendering final : public Rendering {
 public:
  PngRendering(std::shared_ptr<Buffer> buffer, std::string name, const image::Picture& picture)
      : buffer_(std::move(buffer)),
        name_(std::move(name)),
        picture_(picture),
        look_(image::make_look(picture, "", "", "").value_or(image::Look{})) {}

  /// Each row takes those before it into account (the checksum at the end does).
  uint64_t go_to(uint64_t offset) override {
    if (offset < at_) {
      pass_.reset();
      at_ = 0;
    }
    return at_;
  }
  Result<bool> more(std::vector<std::byte>& to) override {
    const size_t before = to.size();
    if (!pass_) {
      pass_.emplace(*this);
      pass_->png.begin(to);
    }
    const image::Band band = TRY(pass_->reader.next());
    rgba_.resize(size_t{band.rows} * picture_.width * 4);
    image::to_rgba(picture_, band, look_, rgba_);
    pass_->png.write(rgba_, to);
    at_ += to.size() - before;
    return band.rows > 0;
  }

 private:
  struct Pass {
    explicit Pass(const PngRendering& of)
        : reader(of.picture_, reader_of(of.buffer_, of.name_), rows_at_once(of.picture_)),
          png(of.picture_.width, of.picture_.height, of.picture_.format->has_alpha()) {}
    image::BandReader reader;
    image::StoredPng png;
  };

  const std::shared_ptr<Buffer> buffer_;
  const std::string name_;
  const image::Picture picture_;
  const image::Look look_;
  std::vector<uint8_t> rgba_;
  std::optional<Pass> pass_;
  uint64_t at_ = 0;
};

class HexRendering final : public Rendering {
 public:
  HexRendering(std::shared_ptr<Buffer> buffer, std::optional<image::Picture> picture)
      : buffer_(std::move(buffer)), picture_(picture), bytes_(kAtOnce) {}

  uint64_t go_to(uint64_t offset) override {
    at_ = image::hex_offset_at(offset, picture());
    return image::hex_place(at_, picture());
  }
  Result<bool> more(std::vector<std::byte>& to) override {
    size_t got = 0;
    while (got < bytes_.size()) {
      const size_t read = TRY(buffer_->read(at_ + got, std::span(bytes_).subspan(got)));
      if (read == 0) break;
      got += read;
    }
    const std::string lines = image::hex_lines(std::span(bytes_).first(got), at_, picture());
    const auto text = std::as_bytes(std::span(lines));
    to.insert(to.end(), text.begin(), text.end());
    at_ += got;
    return got == bytes_.size();
  }

 private:
  [[nodiscard]] const image::Picture* picture() const { return picture_ ? &*picture_ : nullptr; }

  const std::shared_ptr<Buffer> buffer_;
  const std::optional<image::Picture> picture_;
  std::vector<std::byte> bytes_;
  uint64_t at_ = 0;
};

class TextRendering final : public Rendering {
 public:
  explicit TextRendering(std::string text) : text_(std::move(text)) {}
  uint64_t go_to(uint64_t) override { return 0; }
  Result<bool> more(std::vector<std::byte>& to) override {
    const auto bytes = std::as_bytes(std::span(text_));
    to.insert(to.end(), bytes.begin(), bytes.end());
    return false;
  }

 private:
  const std::string text_;
};

}  // namespace

std::unique_ptr<Rendering> render_png(std::shared_ptr<Buffer> buffer, const std::string& name,
                                      const image::Picture& picture) {
  return std::make_unique<PngRendering>(std::move(buffer), name, picture);
}

std::unique_ptr<Rendering> render_hex(std::shared_ptr<Buffer> buffer, std::optional<image::Picture> picture) {
  return std::make_unique<HexRendering>(std::move(buffer), picture);
}

std::unique_ptr<Rendering> render_text(std::string text) {
  return std::make_unique<TextRendering>(std::move(text));
}

uint64_t png_size(const image::Picture& picture) {
  return image::StoredPng::size(picture.width, picture.height, picture.format->has_alpha());
}

uint64_t rendering_memory(const std::optional<image::Picture>& picture) {
  constexpr uint64_t kMostTogether = 4;     // rows that a BandReader won't part
  constexpr uint64_t kUsual = 6 * kAtOnce;  // a line of text is more than four times as long as its bytes
  if (!picture) return kUsual;
  const uint64_t rows = rows_at_once(*picture) + kMostTogether;
  return kUsual + rows * (2 * picture->row_bytes(0) + uint64_t{picture->width} * 8);
}

}  // namespace dmabuffs
