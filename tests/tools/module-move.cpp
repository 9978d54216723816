// SPDX-License-Identifier: MIT
/// One TRANSFER or LOAD of the kernel module between a file and a dma-buf made for it. Prints what it
/// returned: "ok" or the error's name, the bytes, and how they went.
#include <fcntl.h>
#include <libdrm/drm.h>
#include <libdrm/drm_mode.h>
#include <linux/dma-heap.h>

#include <optional>
#include <vector>

#include "foreign_dmabuf.h"
#include "kernel/dmabuf_file.h"

namespace {

using foreign::Mapping;
using foreign::Result;
using foreign::UniqueFd;

const char* const kUsage =
    "module-move [OPTION]... FILE [BUFFER-OFFSET:FILE-OFFSET:LENGTH]...\n"
    "  --heap NAME   of /dev/dma_heap (default: system); \"own\": the module's; \"load\": the module's, by "
    "LOAD;\n"
    "                or a DRM device, whose dumb buffer it is then\n"
    "  --to-file     from the dma-buf into the file\n"
    "  --direct      require direct I/O\n"
    "  --append      open the file with O_APPEND\n"
    "  --size BYTES  of the dma-buf (default: the end of the last range, else the file's length)\n"
    "  --fill FILE   which is in the dma-buf before\n"
    "  --dump FILE   where the dma-buf's bytes are written afterwards\n"
    "  --name NAME   of the dma-buf\n"
    "  --hold        close the module's device and keep the dma-buf until the standard input ends";

struct Options {
  std::string heap = "system", file, fill, dump, name;
  bool to_file = false, direct = false, append = false, hold = false;
  uint64_t size = 0;
  std::vector<dmabuf_file_segment> segments;
};

std::optional<Options> parse(const std::vector<std::string>& words) {
  Options options;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto value = [&] { return i + 1 < words.size() ? words[++i] : std::string(); };
    dmabuf_file_segment segment{};
    if (word == "--heap") {
      options.heap = value();
    } else if (word == "--to-file") {
      options.to_file = true;
    } else if (word == "--direct") {
      options.direct = true;
    } else if (word == "--append") {
      options.append = true;
    } else if (word == "--hold") {
      options.hold = true;
    } else if (word == "--size") {
      options.size = std::strtoull(value().c_str(), nullptr, 0);
    } else if (word == "--fill") {
      options.fill = value();
    } else if (word == "--dump") {
      options.dump = value();
    } else if (word == "--name") {
      options.name = value();
    } else if (options.file.empty()) {
      options.file = word;
    } else if (std::sscanf(word.c_str(), "%llu:%llu:%llu", &segment.buffer_offset, &segment.file_offset,
                           &segment.length) == 3) {
      options.segments.push_back(segment);
    } else {
      return {};
    }
  }
  if (options.file.empty()) return {};
  return options;
}

Result<UniqueFd> open_path(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!fd) return foreign::fail_errno(errno, path);
  return fd;
}

Result<UniqueFd> dumb_buffer(const Options& options) {
  auto card = open_path(options.heap, O_RDWR);
  if (!card) return card;
  drm_mode_create_dumb dumb{};
  dumb.width = 1024;
  dumb.height = static_cast<uint32_t>((options.size + 4095) / 4096);
  dumb.bpp = 32;
  if (::ioctl(card->get(), DRM_IOCTL_MODE_CREATE_DUMB, &dumb) != 0)
    return foreign::fail_errno(errno, "a dumb buffer");
  drm_prime_handle prime{dumb.handle, DRM_CLOEXEC | DRM_RDWR, -1};
  if (::ioctl(card->get(), DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) != 0)
    return foreign::fail_errno(errno, "its dma-buf");
  return UniqueFd(prime.fd);
}

Result<UniqueFd> make_dmabuf(const Options& options, int module) {
  if (options.heap == "own") {
    dmabuf_file_alloc request{};
    request.size = sizeof request;
    request.fd_flags = O_RDWR | O_CLOEXEC;
    request.length = options.size;
    if (::ioctl(module, DMABUF_FILE_ALLOC, &request) != 0) return foreign::fail_errno(errno, "ALLOC");
    return UniqueFd(request.dmabuf_fd);
  }
  if (options.heap.starts_with('/')) return dumb_buffer(options);
  auto heap = open_path("/dev/dma_heap/" + options.heap, O_RDWR);
  if (!heap) return dmabuffs::pass(std::move(heap));
  dma_heap_allocation_data request{};
  request.len = options.size;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  if (::ioctl(heap->get(), DMA_HEAP_IOCTL_ALLOC, &request) != 0)
    return foreign::fail_errno(errno, "allocation by the heap");
  return UniqueFd(static_cast<int>(request.fd));
}

struct Outcome {
  int error = 0;
  uint64_t bytes = 0;
  uint32_t how = 0;
};

Outcome transfer(const Options& options, int module, int dmabuf, int file) {
  dmabuf_file_transfer request{};
  request.size = sizeof request;
  request.flags =
      (options.to_file ? DMABUF_FILE_TO_FILE : 0U) | (options.direct ? DMABUF_FILE_REQUIRE_DIRECT : 0U);
  request.dmabuf_fd = dmabuf;
  request.file_fd = file;
  request.segments = reinterpret_cast<uintptr_t>(options.segments.data());
  request.segment_count = static_cast<uint32_t>(options.segments.size());
  const int error = ::ioctl(module, DMABUF_FILE_TRANSFER, &request) == 0 ? 0 : errno;
  return {error, request.bytes, request.how};
}

Outcome load(const Options& options, int module, int file, UniqueFd& dmabuf) {
  dmabuf_file_load request{};
  request.size = sizeof request;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  request.flags = options.direct ? DMABUF_FILE_REQUIRE_DIRECT : 0U;
  request.length = options.size;
  request.file_fd = file;
  request.segments = reinterpret_cast<uintptr_t>(options.segments.data());
  request.segment_count = static_cast<uint32_t>(options.segments.size());
  const int error = ::ioctl(module, DMABUF_FILE_LOAD, &request) == 0 ? 0 : errno;
  if (error == 0) dmabuf.reset(request.dmabuf_fd);
  return {error, request.bytes, request.how};
}

void print(const Outcome& outcome) {
  std::printf("%s %llu", outcome.error == 0 ? "ok" : ::strerrorname_np(outcome.error),
              static_cast<unsigned long long>(outcome.bytes));
  const char* const names[] = {"direct", "buffered", "own", "sg"};
  for (unsigned bit = 0; bit < std::size(names); ++bit)
    if (outcome.how >> bit & 1U) std::printf(" %s", names[bit]);
  std::printf("\n");
  std::fflush(stdout);
}

/// The file's bytes into the mapping, or the mapping's into the file.
Result<void> copy(const UniqueFd& dmabuf, const std::string& path, bool into_buffer) {
  auto mapping = foreign::map(dmabuf);
  if (!mapping) return dmabuffs::pass(std::move(mapping));
  auto file = open_path(path, into_buffer ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC);
  if (!file) return dmabuffs::pass(std::move(file));
  const uint64_t access = into_buffer ? DMA_BUF_SYNC_WRITE : DMA_BUF_SYNC_READ;
  if (auto begun = foreign::sync(dmabuf, DMA_BUF_SYNC_START | access); !begun) return begun;
  std::vector<std::byte> piece(size_t{1} << 20);  // no system call takes the memory of every dma-buf
  for (size_t at = 0; at < mapping->size();) {
    const size_t want = std::min(piece.size(), mapping->size() - at);
    if (!into_buffer) std::memcpy(piece.data(), mapping->data() + at, want);
    const ssize_t done =
        into_buffer ? ::read(file->get(), piece.data(), want) : ::write(file->get(), piece.data(), want);
    if (done < 0) return foreign::fail_errno(errno, path);
    if (done == 0) break;
    if (into_buffer) std::memcpy(mapping->data() + at, piece.data(), static_cast<size_t>(done));
    at += static_cast<size_t>(done);
  }
  return foreign::sync(dmabuf, DMA_BUF_SYNC_END | access);
}

Result<void> work(Options& options) {
  auto module = open_path(DMABUF_FILE_DEVICE, O_RDWR);
  if (!module) return dmabuffs::pass(std::move(module));
  // Not O_CREAT at once: that waits where the file system is frozen.
  const int flags = options.to_file ? O_RDWR | (options.append ? O_APPEND : 0) : O_RDONLY;
  auto file = open_path(options.file, flags);
  if (!file && options.to_file) file = open_path(options.file, flags | O_CREAT);
  if (!file) return dmabuffs::pass(std::move(file));
  if (options.segments.empty()) {
    const off_t length = ::lseek(file->get(), 0, SEEK_END);
    options.segments.push_back({0, 0, options.size != 0 ? options.size : static_cast<uint64_t>(length)});
  }
  if (options.size == 0)
    for (const auto& segment : options.segments)
      options.size = std::max<uint64_t>(options.size, segment.buffer_offset + segment.length);

  UniqueFd dmabuf;
  Outcome outcome;
  if (options.heap == "load") {
    outcome = load(options, module->get(), file->get(), dmabuf);
  } else {
    auto made = make_dmabuf(options, module->get());
    if (!made) return dmabuffs::pass(std::move(made));
    dmabuf = std::move(*made);
    if (!options.fill.empty())
      if (auto filled = copy(dmabuf, options.fill, true); !filled) return filled;
    outcome = transfer(options, module->get(), dmabuf.get(), file->get());
  }
  module->reset();
  if (!options.name.empty() && ::ioctl(dmabuf.get(), DMA_BUF_SET_NAME_B, options.name.c_str()) != 0)
    return foreign::fail_errno(errno, "DMA_BUF_SET_NAME");
  if (!options.dump.empty() && dmabuf)
    if (auto dumped = copy(dmabuf, options.dump, false); !dumped) return dumped;
  print(outcome);
  while (options.hold && std::getchar() != EOF) {
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parse({argv + 1, argv + argc});
  if (!options) return foreign::misuse(kUsage);
  if (const auto done = work(*options); !done) return foreign::trouble("module-move", done.error().message);
  return 0;
}
