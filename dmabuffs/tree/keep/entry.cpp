// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/keep/entry.h"

#include <sys/stat.h>

#include <algorithm>
#include <concepts>
#include <cstring>

namespace dmabuffs {

namespace {

/// All fields in their order, for who writes and who reads.
template <class Entry, class Visit>
void each_field(Entry& entry, Visit& visit) {
  visit(entry.number), visit(entry.mode);
  if (entry.mode == 0) return;
  visit(entry.parent), visit(entry.uid), visit(entry.gid), visit(entry.maker);
  visit(entry.mtime.tv_sec), visit(entry.mtime.tv_nsec);
  visit(entry.heap), visit(entry.name), visit(entry.target), visit(entry.xattrs);
  visit(entry.memory), visit(entry.size), visit(entry.huge_bytes);
}

struct Writer {
  std::string bytes;
  void operator()(std::integral auto value) {
    const auto wide = static_cast<uint64_t>(value);
    bytes.append(reinterpret_cast<const char*>(&wide), sizeof wide);
  }
  void operator()(const std::string& text) {
    (*this)(text.size());
    bytes += text;
  }
  void operator()(const std::map<std::string, std::string>& pairs) {
    (*this)(pairs.size());
    for (const auto& [name, value] : pairs) (*this)(name), (*this)(value);
  }
};

struct Reader {
  std::string_view bytes;
  bool good = true;
  std::string_view take(uint64_t length) {
    good = good && length <= bytes.size();
    if (!good) return {};
    const auto taken = bytes.substr(0, length);
    bytes.remove_prefix(length);
    return taken;
  }
  void operator()(std::integral auto& value) {
    uint64_t wide = 0;
    if (const auto taken = take(sizeof wide); good) std::memcpy(&wide, taken.data(), sizeof wide);
    value = static_cast<std::remove_reference_t<decltype(value)>>(wide);
  }
  void operator()(std::string& text) {
    uint64_t length = 0;
    (*this)(length);
    text = take(length);
  }
  void operator()(std::map<std::string, std::string>& pairs) {
    uint64_t count = 0;
    (*this)(count);
    for (uint64_t i = 0; i < count && good; ++i) {
      std::string name, value;
      (*this)(name), (*this)(value);
      pairs.emplace(std::move(name), std::move(value));
    }
  }
};

bool is_name(const std::string& name) {
  constexpr size_t kNameMax = 255;
  return !name.empty() && name.size() <= kNameMax && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == name.npos;
}

bool makes_sense(const KeptEntry& entry) {
  if (entry.number == 0) return false;
  if (entry.mode == 0) return true;
  const bool known = S_ISREG(entry.mode) || S_ISDIR(entry.mode) || S_ISLNK(entry.mode);
  const bool dated = entry.mtime.tv_nsec >= 0 && entry.mtime.tv_nsec < 1'000'000'000;
  return known && dated && is_name(entry.name) && S_ISLNK(entry.mode) == !entry.target.empty();
}

}  // namespace

std::string to_bytes(const KeptEntry& entry) {
  Writer writer;
  each_field(entry, writer);
  return std::move(writer.bytes);
}

bool take_entry(std::string_view& bytes, KeptEntry& entry) {
  Reader reader{bytes};
  entry = {};
  each_field(entry, reader);
  bytes = reader.bytes;
  return reader.good && makes_sense(entry);
}

}  // namespace dmabuffs
