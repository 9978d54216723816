// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/by_hand.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "dmabuffs/base/io.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/heap/device.h"
#include "dmabuffs/heap/memfd_heap.h"

namespace dmabuffs::cli::bench {

namespace {

constexpr uint64_t kLargestCall = kGiB;  // below what one read(2) may move
constexpr unsigned kPipe = 1 << 20;
constexpr unsigned kDepth = 16;
constexpr uint64_t kRequest = kMiB;

/// One buffer.
struct Piece {
  UniqueFd memfd, dmabuf;
  Mapping mapping;
  std::span<std::byte> bytes;  ///< page-rounded, of the mapping
};

Result<UniqueFd> make_udmabuf(int memfd, uint64_t length) {
  const auto device = TRY(open_node("/dev/udmabuf"));
  if (::fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) return fail_errno(errno, "memfd: F_SEAL_SHRINK");
  udmabuf_create request{};
  request.memfd = static_cast<__u32>(memfd);
  request.size = length;
  UniqueFd made(::ioctl(device.get(), UDMABUF_CREATE, &request));
  if (!made) return fail_errno(errno, "/dev/udmabuf: UDMABUF_CREATE");
  return made;
}

Result<UniqueFd> make_heap_buffer(uint64_t length) {
  const auto heap = TRY(open_node("/dev/dma_heap/system"));
  dma_heap_allocation_data request{};
  request.len = length;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  if (::ioctl(heap.get(), DMA_HEAP_IOCTL_ALLOC, &request) != 0)
    return fail_errno(errno, "/dev/dma_heap/system: DMA_HEAP_IOCTL_ALLOC");
  return UniqueFd(static_cast<int>(request.fd));
}

Result<void> make_anonymous(Piece& piece, uint64_t length) {
  piece.mapping = TRY(Mapping::anonymous(length + kHugePage));
  const auto address = reinterpret_cast<uintptr_t>(piece.mapping.data());
  piece.bytes = piece.mapping.bytes().subspan(round_up(address, kHugePage) - address, length);
  (void)::madvise(piece.bytes.data(), piece.bytes.size(), MADV_HUGEPAGE);
  return populate(piece.bytes);
}

Result<void> make_memfd_piece(Piece& piece, Memory memory, uint64_t length) {
  const auto pages = memory == Memory::UdmabufHuge ? PageSize::Huge : PageSize::Small;
  piece.memfd = TRY(make_memfd("bench", pages));
  if (truncate_to(piece.memfd.get(), length) != 0) return fail_errno(errno, "memfd");
  if (memory != Memory::Memfd) piece.dmabuf = TRY(make_udmabuf(piece.memfd.get(), length));
  return {};
}

/// The CPU's view, mapped if it is not yet.
Result<std::span<std::byte>> view(Piece& piece, uint64_t length) {
  if (piece.bytes.empty()) {
    const int fd = (piece.memfd ? piece.memfd : piece.dmabuf).get();
    piece.mapping = TRY(Mapping::of_file(fd, 0, length, PROT_READ | PROT_WRITE));
    piece.bytes = piece.mapping.bytes();
  }
  return piece.bytes;
}

/// `call(done)` moves what comes behind the first `done` bytes of `length`, until they are all moved.
template <class Call>
Result<void> all_of(uint64_t length, const char* what, Call call) {
  for (uint64_t done = 0; done < length;) {
    const ssize_t moved = again([&] { return call(done); });
    if (moved < 0) return fail_errno(errno, what);
    if (moved == 0) return fail(EIO, std::string(what) + ": ended after " + std::to_string(done) + " bytes");
    done += static_cast<uint64_t>(moved);
  }
  return {};
}

class ByHand final : public Attempt {
 public:
  ByHand(const HandWay& way, Direction direction, const Cut& cut, const HandTools& tools)
      : way_(way), reads_(direction == Direction::Read), cut_(cut), tools_(tools) {}

  Result<void> prepare() override {
    if (way_.means != Means::CpuCopy) return {};
    TRY(make_anonymous(other_, round_up(cut_.length, kPage)));
    return fill_from(tools_.source, cut_.length, 0, [this](uint64_t offset, auto from) -> Result<void> {
      std::memcpy(other_.bytes.data() + offset, from.data(), from.size());
      return {};
    });
  }

  Result<void> create() override {
    if (way_.memory == Memory::Loaded) return {};
    for (uint64_t i = 0; i < cut_.count(); ++i) {
      Piece& piece = pieces_.emplace_back();
      const uint64_t length = room_of(i);
      if (way_.memory == Memory::Anonymous)
        TRY(make_anonymous(piece, length));
      else if (way_.memory == Memory::SystemHeap)
        piece.dmabuf = TRY(make_heap_buffer(length));
      else
        TRY(make_memfd_piece(piece, way_.memory, length));
      if (way_.means == Means::ReadWrite || way_.means == Means::Registered) TRY(view(piece, length));
    }
    return {};
  }

  Result<void> move() override {
    for (uint64_t i = 0; i < cut_.count(); ++i) TRY(move_piece(i));
    if (!reads_) return check_call(::fdatasync(tools_.scratch->fd()), "fdatasync");
    return {};
  }

  Result<void> close() override {
    pieces_.clear();
    return {};
  }

  Result<void> get(uint64_t offset, std::span<std::byte> to) override {
    return each_part(offset, to.size(), [&](std::byte* memory, uint64_t done, uint64_t length) {
      std::memcpy(to.data() + done, memory, length);
    });
  }
  Result<void> put(uint64_t offset, std::span<const std::byte> from) override {
    return each_part(offset, from.size(), [&](std::byte* memory, uint64_t done, uint64_t length) {
      std::memcpy(memory, from.data() + done, length);
    });
  }

 private:
  /// Bytes of the memory of a buffer.
  [[nodiscard]] uint64_t room_of(uint64_t buffer) const {
    return round_up(cut_.bytes_of(buffer), way_.memory == Memory::UdmabufHuge ? kHugePage : kPage);
  }

  template <class Use>
  Result<void> each_part(uint64_t offset, uint64_t size, Use use) {
    for (uint64_t done = 0; done < size;) {
      const uint64_t index = (offset + done) / cut_.each, within = (offset + done) % cut_.each;
      const uint64_t length = std::min(size - done, cut_.bytes_of(index) - within);
      const auto bytes = TRY(view(pieces_[index], room_of(index)));
      use(bytes.data() + within, done, length);
      done += length;
    }
    return {};
  }

  [[nodiscard]] int file() const {
    const BenchFile& file = reads_ ? tools_.source : *tools_.scratch;
    return way_.direct ? file.direct_fd() : file.fd();
  }

  Result<void> move_piece(uint64_t index) {
    const uint64_t length = cut_.bytes_of(index), offset = index * cut_.each;
    if (way_.memory == Memory::Loaded) return load(offset, length);
    Piece& piece = pieces_[index];
    switch (way_.means) {
      case Means::ReadWrite:
        return read_or_write(piece, offset, length);
      case Means::Sendfile:
        return send(piece, offset, length);
      case Means::Splice:
        return splice_in(piece, offset, length);
      case Means::Registered:
        return read_registered(piece, offset, length);
      case Means::Module:
        return transfer(piece, offset, length);
      case Means::CpuCopy:
        std::memcpy(piece.bytes.data(), other_.bytes.data() + offset, length);
        return {};
      case Means::CpuZero:
        std::memset(piece.bytes.data(), 0, length);
        return {};
    }
    return {};
  }

  Result<void> read_or_write(Piece& piece, uint64_t offset, uint64_t length) const {
    return all_of(length, reads_ ? "read" : "write", [&](uint64_t done) {
      // O_DIRECT takes whole blocks only; the file ends a read before that.
      const uint64_t left = std::min(kLargestCall, round_up(length - done, way_.direct ? kPage : 1));
      std::byte* memory = piece.bytes.data() + done;
      const auto at = static_cast<off_t>(offset + done);
      return reads_ ? ::pread(file(), memory, left, at) : ::pwrite(file(), memory, left, at);
    });
  }

  Result<void> send(Piece& piece, uint64_t offset, uint64_t length) const {
    const int memfd = piece.memfd.get();
    off_t from = reads_ ? static_cast<off_t>(offset) : 0;
    if (::lseek(reads_ ? memfd : file(), reads_ ? 0 : static_cast<off_t>(offset), SEEK_SET) < 0)
      return fail_errno(errno, "lseek");
    return all_of(length, "sendfile", [&](uint64_t done) {
      const uint64_t left = std::min(kLargestCall, round_up(length - done, way_.direct ? kPage : 1));
      return reads_ ? ::sendfile(memfd, file(), &from, left) : ::sendfile(file(), memfd, &from, left);
    });
  }

  Result<void> splice_in(Piece& piece, uint64_t offset, uint64_t length) const {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
    const UniqueFd reader(ends[0]), writer(ends[1]);
    if (::fcntl(writer.get(), F_SETPIPE_SZ, kPipe) < 0) return fail_errno(errno, "a pipe of 1 MiB");
    auto from = static_cast<off64_t>(offset);
    off64_t to = 0;
    return all_of(length, "splice", [&](uint64_t) -> ssize_t {
      const ssize_t got = ::splice(file(), &from, writer.get(), nullptr, kPipe, SPLICE_F_MOVE);
      for (ssize_t left = got; left > 0;) {
        const ssize_t put =
            ::splice(reader.get(), nullptr, piece.memfd.get(), &to, static_cast<size_t>(left), SPLICE_F_MOVE);
        if (put <= 0) return -1;
        left -= put;
      }
      return got;
    });
  }

  Result<void> read_registered(Piece& piece, uint64_t offset, uint64_t length) const {
    io_uring ring{};
    if (const int error = ::io_uring_queue_init(kDepth, &ring, 0); error < 0)
      return fail_errno(-error, "io_uring");
    const std::unique_ptr<io_uring, void (*)(io_uring*)> ended(&ring, ::io_uring_queue_exit);
    std::vector<iovec> vectors;
    for (uint64_t at = 0; at < piece.bytes.size(); at += kGiB)  // the most that one may have
      vectors.push_back({piece.bytes.data() + at, std::min(kGiB, piece.bytes.size() - at)});
    if (const int error =
            ::io_uring_register_buffers(&ring, vectors.data(), static_cast<unsigned>(vectors.size()));
        error < 0)
      return fail_errno(-error, "io_uring: registering the buffer");
    uint64_t asked = 0, done = 0;
    unsigned in_flight = 0;
    while (done < length) {
      for (; in_flight < kDepth && asked < length; ++in_flight, asked += kRequest) {
        io_uring_sqe* const entry = ::io_uring_get_sqe(&ring);
        const auto part = static_cast<unsigned>(std::min(kRequest, round_up(length - asked, kPage)));
        ::io_uring_prep_read_fixed(entry, file(), piece.bytes.data() + asked, part, offset + asked,
                                   static_cast<int>(asked / kGiB));
        ::io_uring_sqe_set_data64(entry, std::min(kRequest, length - asked));
      }
      if (const int error = ::io_uring_submit_and_wait(&ring, 1); error < 0 && error != -EINTR)
        return fail_errno(-error, "io_uring");
      io_uring_cqe* found = nullptr;
      while (::io_uring_peek_cqe(&ring, &found) == 0) {
        const int64_t moved = found->res;
        const uint64_t wanted = found->user_data;
        ::io_uring_cqe_seen(&ring, found);
        --in_flight;
        if (moved < 0) return fail_errno(static_cast<int>(-moved), "io_uring: read");
        if (static_cast<uint64_t>(moved) < wanted) return fail(EIO, "io_uring: a short read");
        done += wanted;
      }
    }
    return {};
  }

  Result<void> transfer(Piece& piece, uint64_t offset, uint64_t length) const {
    for (uint64_t done = 0; done < length;) {
      const KernelModule::Range range{piece.dmabuf.get(), done, file(), offset + done,
                                      round_up(length - done, kPage)};
      const auto moved = reads_ ? tools_.module.read_file(range) : tools_.module.write_file(range);
      if (moved.error != 0) return fail_errno(moved.error, "TRANSFER");
      if (moved.bytes == 0 || !moved.direct) return fail(EIO, "TRANSFER: not by direct I/O");
      done += moved.bytes;
    }
    return {};
  }

  Result<void> load(uint64_t offset, uint64_t length) {
    auto loaded = TRY(tools_.module.load(file(), offset, round_up(length, kPage)));
    if (loaded.bytes < length || !loaded.direct)
      return fail(EIO, "LOAD: not all of it, or not by direct I/O");
    pieces_.emplace_back().dmabuf = std::move(loaded.dmabuf);
    return {};
  }

  const HandWay way_;
  const bool reads_;
  const Cut cut_;
  const HandTools tools_;
  std::vector<Piece> pieces_;
  Piece other_;  // what is copied from
};

}  // namespace

std::unique_ptr<Attempt> by_hand(const HandWay& way, Direction direction, const Cut& cut,
                                 const HandTools& tools) {
  return std::make_unique<ByHand>(way, direction, cut, tools);
}

}  // namespace dmabuffs::cli::bench
