// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/ours.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <thread>

#include "dmabuffs/base/io.h"
#include "dmabuffs/base/read_file.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/transfer/transfer.h"

namespace dmabuffs::cli::bench {

namespace {

/// "pinned-direct", or with several "pinned-direct 99.9 %, buffered 0.1 %".
std::string paths_text(const PathBytes& bytes) {
  uint64_t all = 0;
  for (const uint64_t each : bytes) all += each;
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == 0) continue;
    if (!text.empty()) text += ", ";
    text += to_string(static_cast<dmabuffs::Path>(i));
    char share[24];
    std::snprintf(share, sizeof share, " %.1f %%",
                  100.0 * static_cast<double>(bytes[i]) / static_cast<double>(all));
    if (bytes[i] != all) text += share;
  }
  return text;
}

/// Buffers, and how the engine's counters stood before it moved their bytes.
class ByEngine : public Attempt {
 public:
  ByEngine(Ours& ours, std::shared_ptr<Heap> heap, const Cut& cut, Stop& stop)
      : ours_(ours), heap_(std::move(heap)), cut_(cut), stop_(stop) {}

  Result<void> close() override {
    buffers_.clear();
    ours_.recycler.drain();
    return {};
  }
  Result<void> get(uint64_t offset, std::span<std::byte> to) override {
    return each_part(offset, to,
                     [](Buffer& buffer, uint64_t at, auto part) { return buffer.read(at, part); });
  }
  Result<void> put(uint64_t offset, std::span<const std::byte> from) override {
    return each_part(offset, from,
                     [](Buffer& buffer, uint64_t at, auto part) { return buffer.write(at, part); });
  }
  [[nodiscard]] std::string path() const override { return path_; }

 protected:
  std::shared_ptr<Buffer> add_buffer() {
    return buffers_.emplace_back(Buffer::make(heap_, ours_.recycler, ::getuid(), "bench"));
  }
  /// The copies, and what the counters say of them.
  Result<void> copy_all(const std::function<Copy(uint64_t buffer)>& copy_of) {
    const auto before = ours_.engine.counters().snapshot();
    for (uint64_t i = 0; i < cut_.count(); ++i) TRY(run(copy_of(i)));
    const auto after = ours_.engine.counters().snapshot();
    PathBytes moved{};
    uint64_t all = 0;
    for (size_t i = 0; i < kPathCount; ++i) all += moved[i] = after.paths[i].bytes - before.paths[i].bytes;
    path_ = paths_text(moved);
    if (all < cut_.length) return fail(EIO, "fewer bytes were counted than there are");
    return {};
  }

  Ours& ours_;
  const std::shared_ptr<Heap> heap_;
  const Cut cut_;
  std::vector<std::shared_ptr<Buffer>> buffers_;

 private:
  Result<void> run(Copy copy) {
    CancelToken cancel;
    copy.cancel = &cancel;
    const uint64_t length = copy.length;
    uint64_t done = 0;
    std::optional<Error> error;
    Transfer(ours_.engine, std::move(copy)).run([&](const Outcome& piece) {
      done += piece.bytes;
      if (piece.error) error = piece.error;
      if (stop_.asked()) cancel.cancel();
    });
    if (error) return Failure(*error);
    if (done < length) return fail(EIO, "the copy ended early");
    return {};
  }

  template <class Bytes, class Call>
  Result<void> each_part(uint64_t offset, Bytes bytes, Call call) {
    for (uint64_t done = 0; done < bytes.size();) {
      const uint64_t index = (offset + done) / cut_.each, within = (offset + done) % cut_.each;
      const uint64_t length = std::min(bytes.size() - done, cut_.bytes_of(index) - within);
      const size_t moved = TRY(call(*buffers_.at(index), within, bytes.subspan(done, length)));
      if (moved == 0) return fail(EIO, "the buffer is shorter than what was put there");
      done += moved;
    }
    return {};
  }

  Stop& stop_;
  std::string path_;
};

class LoadByEngine final : public ByEngine {
 public:
  LoadByEngine(Ours& ours, std::shared_ptr<Heap> heap, Load load, const Cut& cut, const BenchFile& source,
               Stop& stop)
      : ByEngine(ours, std::move(heap), cut, stop), load_(load), source_(source) {}

  Result<void> prepare() override {
    ours_.recycler.drain();
    if (load_ == Load::First) return {};
    TRY(move());
    // Or a load that does nothing would find the right bytes there.
    const std::vector<std::byte> wrong(kMiB, std::byte{0xa5});
    for (uint64_t offset = 0; offset < cut_.length; offset += kMiB)
      TRY(put(offset, std::span(wrong).first(std::min(kMiB, cut_.length - offset))));
    buffers_.clear();  // their memory goes to the recycler
    return {};
  }
  Result<void> move() override {
    const auto end = std::make_shared<FileEnd>(source_.fd(), UniqueFd(), source_.path(), true);
    return copy_all([&](uint64_t i) {
      Copy copy;
      copy.from = end;
      copy.from_offset = i * cut_.each;
      copy.to = add_buffer();
      copy.length = copy.expected_end = cut_.bytes_of(i);
      return copy;
    });
  }

 private:
  const Load load_;
  const BenchFile& source_;
};

class WriteByEngine final : public ByEngine {
 public:
  WriteByEngine(Ours& ours, std::shared_ptr<Heap> heap, const Cut& cut, const BenchFile& scratch, Stop& stop)
      : ByEngine(ours, std::move(heap), cut, stop), scratch_(scratch) {}

  Result<void> create() override {
    for (uint64_t i = 0; i < cut_.count(); ++i) {
      const auto buffer = add_buffer();
      TRY(buffer->resize(cut_.bytes_of(i)));
      TRY(buffer->flush());
    }
    return {};
  }
  Result<void> move() override {
    const auto end = std::make_shared<FileEnd>(scratch_.fd(), UniqueFd(), scratch_.path(), true);
    TRY(copy_all([&](uint64_t i) {
      Copy copy;
      copy.from = buffers_[i];
      copy.to = end;
      copy.to_offset = i * cut_.each;
      copy.length = cut_.bytes_of(i);
      copy.expected_end = copy.to_offset + copy.length;
      return copy;
    }));
    return check_call(::fdatasync(scratch_.fd()), "fdatasync");
  }

 private:
  const BenchFile& scratch_;
};

/// Bytes by path since the mount began, as its `status` has them.
PathBytes moved_in(const BenchMount& mount) {
  PathBytes bytes{};
  const Json status = Json::parse(read_file(mount.path() + "/status").value_or(""), nullptr, false);
  if (!status.is_object() || !status.contains("transfers")) return bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto found = status["transfers"].find(to_string(static_cast<dmabuffs::Path>(i)));
    if (found != status["transfers"].end()) bytes[i] = number_of(*found, "bytes").value_or(0);
  }
  return bytes;
}

class ByCp final : public Attempt {
 public:
  ByCp(const BenchMount& mount, const std::string& heap, Stop& stop)
      : mount_(mount),
        target_(mount.path() + "/heaps/" + heap + "/bench"),
        stop_(stop),
        at_start_(mount.cpu_seconds()) {}
  ~ByCp() override { (void)::unlink(target_.c_str()); }

  Result<void> prepare() override {
    free_ = room();
    // The program itself is not what is measured.
    return run_program({"cp", "--version"}, stop_).map([](const Ended&) {});
  }
  Result<void> move() override {
    const PathBytes before = moved_in(mount_);
    cp_cpu_ = TRY(run_program({"cp", mount_.file(), target_}, stop_)).cpu_seconds;
    PathBytes moved = moved_in(mount_);
    for (size_t i = 0; i < moved.size(); ++i) moved[i] -= before[i];
    path_ = paths_text(moved);
    return {};
  }
  /// Removed, and its memory free again.
  Result<void> close() override {
    fd_.reset();
    if (::unlink(target_.c_str()) != 0) return fail_errno(errno, target_);
    constexpr int kMostWaits = 10'000;
    for (int i = 0; i < kMostWaits && room() < free_; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return {};
  }
  Result<void> get(uint64_t offset, std::span<std::byte> to) override {
    TRY(opened());
    if (pread_all(fd_.get(), to, offset) == static_cast<ssize_t>(to.size())) return {};
    return fail(EIO, target_ + ": shorter than FILE");
  }
  Result<void> put(uint64_t offset, std::span<const std::byte> from) override {
    TRY(opened());
    if (pwrite_all(fd_.get(), from, offset) == static_cast<ssize_t>(from.size())) return {};
    return fail_errno(errno, target_);
  }
  [[nodiscard]] std::string path() const override { return path_.empty() ? "read and write" : path_; }
  [[nodiscard]] double others_cpu() const override { return cp_cpu_ + mount_.cpu_seconds() - at_start_; }

 private:
  Result<void> opened() {
    if (!fd_) fd_.reset(::open(target_.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd_) return fail_errno(errno, target_);
    return {};
  }
  [[nodiscard]] uint64_t room() const {
    struct statvfs told {};
    return ::statvfs(mount_.path().c_str(), &told) == 0 ? told.f_bfree : UINT64_MAX;
  }

  const BenchMount& mount_;
  const std::string target_;
  Stop& stop_;
  const double at_start_;
  double cp_cpu_ = 0;
  uint64_t free_ = 0;
  UniqueFd fd_;
  std::string path_;
};

}  // namespace

std::string why_no_buffer(Heap& heap) {
  if (auto made = heap.create(kPage, ::getuid()); !made) return made.error().message;
  if (auto touched = heap.check_cpu(::getuid()); !touched) return touched.error().message;
  return {};
}

std::unique_ptr<Attempt> by_engine(Ours& ours, std::shared_ptr<Heap> heap, Load load, const Cut& cut,
                                   const BenchFile& source, Stop& stop) {
  return std::make_unique<LoadByEngine>(ours, std::move(heap), load, cut, source, stop);
}

std::unique_ptr<Attempt> write_by_engine(Ours& ours, std::shared_ptr<Heap> heap, const Cut& cut,
                                         const BenchFile& scratch, Stop& stop) {
  return std::make_unique<WriteByEngine>(ours, std::move(heap), cut, scratch, stop);
}

std::unique_ptr<Attempt> by_cp(const BenchMount& mount, const std::string& heap, Stop& stop) {
  return std::make_unique<ByCp>(mount, heap, stop);
}

Result<std::unique_ptr<BenchMount>> BenchMount::make(const std::string& file,
                                                     const std::vector<std::string>& heaps) {
  auto scratch = TRY(ScratchDirectory::make());
  auto ready = TRY(ReadySocket::make());
  TRY(enter_private_namespace());
  std::unique_ptr<BenchMount> mount(new BenchMount(std::move(scratch), std::move(ready)));
  const std::filesystem::path whole = file;
  mount->file_ = mount->path() + "/files/d/" + whole.filename().string();
  // A load finds no memory of the one before.
  std::vector<std::string> words{"-o", "private,no_auto_unmount,recycle=0", "--files",
                                 "d=" + whole.parent_path().string() + "/"};
  for (const std::string& heap : heaps) words.insert(words.end(), {"--heap", heap});
  mount->daemon_ = TRY(start_daemon(words, mount->path(), mount->ready_, [] {}));
  std::array<pollfd, 2> wait{{{mount->ready_.fd(), POLLIN, 0}, {mount->daemon_.pidfd(), POLLIN, 0}}};
  while (!mount->ready_.says_ready(mount->daemon_.pid())) {
    if (wait[1].revents != 0) return fail(EIO, "no mount: its daemon ended");
    (void)::poll(wait.data(), wait.size(), -1);
  }
  return mount;
}

BenchMount::~BenchMount() {
  if (daemon_.pidfd() >= 0) stop_daemon(daemon_, path());
}

double BenchMount::cpu_seconds() const {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(daemon_.pid(), &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

}  // namespace dmabuffs::cli::bench
