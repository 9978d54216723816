// SPDX-License-Identifier: MIT
/// A row of the table that `bench` prints, and one run of it.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "dmabuffs/base/result.h"

namespace dmabuffs::cli::bench {

/// How the bytes of a file go into buffers.
struct Cut {
  uint64_t length = 0;  ///< bytes that are moved in all
  uint64_t each = 0;    ///< bytes of a buffer; the last may have fewer
  [[nodiscard]] uint64_t count() const { return (length + each - 1) / each; }
  [[nodiscard]] uint64_t bytes_of(uint64_t buffer) const { return std::min(each, length - buffer * each); }
};

/// One run. create(), move() and close() are what is timed; what they hold ends with this object, too.
class Attempt {
 public:
  virtual ~Attempt() = default;
  /// Before the caches are dropped.
  virtual Result<void> prepare() { return {}; }
  virtual Result<void> create() { return {}; }
  virtual Result<void> move() = 0;
  virtual Result<void> close() { return {}; }

  /// The bytes in its buffers, as if these were one.
  virtual Result<void> get(uint64_t offset, std::span<std::byte> to) = 0;
  virtual Result<void> put(uint64_t offset, std::span<const std::byte> from) = 0;

  /// What is known of the way that the bytes took, after move(); empty: the row's own path.
  [[nodiscard]] virtual std::string path() const { return {}; }
  /// CPU seconds that other processes have worked for it up to now.
  [[nodiscard]] virtual double others_cpu() const { return 0; }
  /// What a program that measures itself says that move() took.
  [[nodiscard]] virtual std::optional<double> own_milliseconds() const { return std::nullopt; }
};

enum class Direction { Read, Write };
constexpr const char* to_string(Direction direction) {
  return direction == Direction::Read ? "read" : "write";
}

struct Row {
  std::string name;       ///< "udmabuf-direct-read"
  std::string list_name;  ///< what the mailing lists call it; empty: they don't have it
  std::string about;      ///< what is done, in a few words
  Direction direction = Direction::Read;
  std::string path;         ///< what way its bytes take by its nature: "O_DIRECT", "page cache", "memory"
  bool stays_out = false;   ///< of the page cache, which is checked
  bool has_content = true;  ///< what it moved can be looked at
  std::string why_not;      ///< why it can't run here; empty: it can
  std::function<std::unique_ptr<Attempt>()> make;
};

}  // namespace dmabuffs::cli::bench
