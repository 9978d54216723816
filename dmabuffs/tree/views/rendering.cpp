// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/views/rendering.h"

#include <algorithm>
#include <span>

#include "dmabuffs/image/band.h"
#include "dmabuffs/image/hex.h"
#include "dmabuffs/image/pixels.h"
#include "dmabuffs/image/png.h"

namespace dmabuffs {

namespace {

image::ReadAt reader_of(std::shared_ptr<Buffer> buffer) {
  return [buffer = std::move(buffer)](uint64_t offset, std::span<std::byte> to) -> Result<void> {
    while (!to.empty()) {
      const size_t got = TRY(buffer->read(offset, to));
      if (got == 0) return fail(EIO, "the buffer became shorter while it was looked at");
      offset += got;
      to = to.subspan(got);
    }
    return {};
  };
}

class PngRendering final : public Rendering {
 public:
  PngRendering(std::shared_ptr<Buffer> buffer, const image::Picture& picture)
      : picture_(picture),
        look_(image::make_look(picture, "", "", "").value_or(image::Look{})),
        reader_(picture, reader_of(std::move(buffer)), image::usual_rows(picture)),
        writer_(picture.width, picture.height, picture.format->has_alpha(),
                [this](std::span<const std::byte> bytes) -> Result<void> {
                  to_->insert(to_->end(), bytes.begin(), bytes.end());
                  return {};
                }) {}

  Result<bool> more(std::vector<std::byte>& to) override {
    to_ = &to;
    const image::Band band = TRY(reader_.next());
    if (band.rows == 0) {
      TRY(writer_.finish());
      return false;
    }
    rgba_.resize(size_t{band.rows} * picture_.width * 4);
    image::to_rgba(picture_, band, look_, rgba_);
    TRY(writer_.write(rgba_));
    return true;
  }

 private:
  const image::Picture picture_;
  const image::Look look_;
  std::vector<std::byte>* to_ = nullptr;
  std::vector<uint8_t> rgba_;
  image::BandReader reader_;
  image::PngWriter writer_;
};

class HexRendering final : public Rendering {
 public:
  HexRendering(std::shared_ptr<Buffer> buffer, std::optional<image::Picture> picture)
      : buffer_(std::move(buffer)), picture_(picture), bytes_(64 << 10) {}

  Result<bool> more(std::vector<std::byte>& to) override {
    size_t got = 0;
    while (got < bytes_.size()) {
      const size_t read = TRY(buffer_->read(at_ + got, std::span(bytes_).subspan(got)));
      if (read == 0) break;
      got += read;
    }
    const std::string lines =
        image::hex_lines(std::span(bytes_).first(got), at_, picture_ ? &*picture_ : nullptr);
    const auto text = std::as_bytes(std::span(lines));
    to.insert(to.end(), text.begin(), text.end());
    at_ += got;
    return got == bytes_.size();
  }

 private:
  const std::shared_ptr<Buffer> buffer_;
  const std::optional<image::Picture> picture_;
  std::vector<std::byte> bytes_;
  uint64_t at_ = 0;
};

class TextRendering final : public Rendering {
 public:
  explicit TextRendering(std::string text) : text_(std::move(text)) {}
  Result<bool> more(std::vector<std::byte>& to) override {
    const auto bytes = std::as_bytes(std::span(text_));
    to.insert(to.end(), bytes.begin(), bytes.end());
    return false;
  }

 private:
  const std::string text_;
};

}  // namespace

std::unique_ptr<Rendering> render_png(std::shared_ptr<Buffer> buffer, const image::Picture& picture) {
  return std::make_unique<PngRendering>(std::move(buffer), picture);
}

std::unique_ptr<Rendering> render_hex(std::shared_ptr<Buffer> buffer, std::optional<image::Picture> picture) {
  return std::make_unique<HexRendering>(std::move(buffer), picture);
}

std::unique_ptr<Rendering> render_text(std::string text) {
  return std::make_unique<TextRendering>(std::move(text));
}

}  // namespace dmabuffs
