// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/keep/log.h"

#include <sys/stat.h>

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "dmabuffs/base/io.h"
#include "dmabuffs/heap/memfd_heap.h"

namespace dmabuffs {

namespace {

// The file: a word that says what it is, then pieces, each a length and so many bytes of entries. A write is
// cut off at its end only, if at all, so a piece that is not whole is the last one.
constexpr std::string_view kMagic = "dmabuffs kept 1\n";
using Length = uint64_t;

std::string read_at(int fd, Range range) {
  std::string bytes(range.length, '\0');
  const ssize_t got = pread_all(fd, std::as_writable_bytes(std::span(bytes)), range.offset);
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}

uint64_t file_size(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
}

}  // namespace

Result<KeptLog> KeptLog::make() {
  KeptLog log(TRY(make_memfd("dmabuffs names", PageSize::Small)));
  if (pwrite_all(log.fd(), std::as_bytes(std::span(kMagic)), 0) != static_cast<ssize_t>(kMagic.size()))
    return fail_errno(errno, "list of names");
  log.end_ = kMagic.size();
  return log;
}

std::vector<KeptEntry> KeptLog::read(int fd, bool& damaged) {
  const uint64_t size = file_size(fd);
  damaged = size < kMagic.size() || read_at(fd, {0, kMagic.size()}) != kMagic;
  if (damaged) return {};
  std::map<uint64_t, KeptEntry> found;
  for (uint64_t at = kMagic.size(); size - at >= sizeof(Length);) {
    Length length = 0;
    std::memcpy(&length, read_at(fd, {at, sizeof length}).data(), sizeof length);
    at += sizeof length;
    if (length > size - at) break;
    const std::string piece = read_at(fd, {at, length});
    at += length;
    for (std::string_view rest = piece; !rest.empty();) {
      KeptEntry entry;
      if (!take_entry(rest, entry)) {
        damaged = true;
        break;
      }
      const uint64_t number = entry.number;
      found.erase(number);
      if (entry.mode != 0) found.emplace(number, std::move(entry));
    }
  }
  std::vector<KeptEntry> entries;
  entries.reserve(found.size());
  for (auto& [number, entry] : found) entries.push_back(std::move(entry));
  return entries;
}

Result<void> KeptLog::append(const std::vector<KeptEntry>& entries) {
  std::string piece(sizeof(Length), '\0');
  std::vector<Range> places;
  places.reserve(entries.size());
  for (const KeptEntry& entry : entries) {
    const std::string bytes = to_bytes(entry);
    places.push_back({end_ + piece.size(), bytes.size()});
    piece += bytes;
  }
  const Length length = piece.size() - sizeof length;
  std::memcpy(piece.data(), &length, sizeof length);
  const ssize_t put = pwrite_all(file_.get(), std::as_bytes(std::span(piece)), end_);
  if (put != static_cast<ssize_t>(piece.size())) {
    const int code = put < 0 ? errno : ENOMEM;
    (void)truncate_to(file_.get(), end_);
    return fail_errno(code, "list of names");
  }
  end_ += piece.size();
  for (size_t i = 0; i < entries.size(); ++i) {
    Range& live = live_[entries[i].number];
    live_bytes_ = live_bytes_ - live.length + places[i].length;
    live = places[i];
    if (entries[i].mode != 0) continue;
    live_bytes_ -= live.length;
    live_.erase(entries[i].number);
  }
  return {};
}

Result<KeptLog> KeptLog::compacted() const {
  KeptLog log = TRY(make());
  for (const auto& [number, place] : live_) {
    const std::string bytes = read_at(file_.get(), place);
    std::string_view rest = bytes;
    KeptEntry entry;
    if (!take_entry(rest, entry)) return fail_errno(EIO, "list of names");
    TRY(log.append({entry}));
  }
  return log;
}

}  // namespace dmabuffs
