// SPDX-License-Identifier: MIT
#include "dmabuffs/image/png.h"

#include <png.h>

#include <csetjmp>
#include <utility>

namespace dmabuffs::image {

namespace {

// Of a photograph in 4K these take XXX.
constexpr int kCompression = 1;
constexpr int kFilter = PNG_FILTER_SUB;

}  // namespace

/// libpng leaves a function by longjmp when it fails, past the destructors of what is on the stack: so
/// nothing is, between setjmp and its calls. What fails in the sink is kept here and told afterwards; libpng
/// goes on meanwhile, to no one.
struct PngWriter::State {
  Sink sink;
  uint32_t width, height;
  bool alpha;
  bool begun = false;
  Result<void> outcome;
  png_structp png = nullptr;
  png_infop info = nullptr;

  State(uint32_t width, uint32_t height, bool alpha, Sink to)
      : sink(std::move(to)), width(width), height(height), alpha(alpha) {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) outcome = fail_errno(ENOMEM, "PNG");
  }
  ~State() { png_destroy_write_struct(&png, &info); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  static void on_warning(png_structp, png_const_charp) {}
  static void on_error(png_structp png, png_const_charp) { png_longjmp(png, 1); }
  static void on_bytes(png_structp png, png_bytep bytes, size_t length) {
    auto& state = *static_cast<State*>(png_get_io_ptr(png));
    if (state.outcome) state.outcome = state.sink(std::as_bytes(std::span(bytes, length)));
  }

  void begin() {
    png_set_write_fn(png, this, on_bytes, nullptr);
    png_set_IHDR(png, info, width, height, 8, alpha ? PNG_COLOR_TYPE_RGBA : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, kCompression);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, kFilter);
    png_write_info(png, info);
    if (!alpha) png_set_filler(png, 0, PNG_FILLER_AFTER);
  }
  void rows(std::span<const uint8_t> rgba) {
    if (!std::exchange(begun, true)) begin();
    for (size_t at = 0; at < rgba.size() && outcome; at += size_t{width} * 4) png_write_row(png, &rgba[at]);
  }

  /// Calls libpng by `work`. Out of memory is all that can go wrong in it.
  template <class Work>
  Result<void> attempt(const Work& work) {
    if (!outcome) return outcome;
    if (setjmp(png_jmpbuf(png)) == 0)
      work();
    else if (outcome)
      outcome = fail_errno(ENOMEM, "PNG");
    return outcome;
  }
};

PngWriter::PngWriter(uint32_t width, uint32_t height, bool alpha, Sink sink)
    : state_(std::make_unique<State>(width, height, alpha, std::move(sink))) {}
PngWriter::~PngWriter() = default;
PngWriter::PngWriter(PngWriter&&) noexcept = default;
PngWriter& PngWriter::operator=(PngWriter&&) noexcept = default;

Result<void> PngWriter::write(std::span<const uint8_t> rgba) {
  return state_->attempt([&] { state_->rows(rgba); });
}

Result<void> PngWriter::finish() {
  return state_->attempt([&] { png_write_end(state_->png, state_->info); });
}

}  // namespace dmabuffs::image
