// SPDX-License-Identifier: MIT
/// `dmabuffs bench FILE`: every way between a file and a dma-buf, measured side by side.
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "dmabuffs/cli/bench/choice.h"
#include "dmabuffs/cli/bench/report.h"
#include "dmabuffs/cli/bench/rows.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/look/sink.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/way.h"
#include "dmabuffs/fuse/fuse_version.h"
#include "dmabuffs/transfer/uring.h"

namespace dmabuffs::cli {

namespace {

using namespace bench;

constexpr unsigned kMostRuns = 1000;

/// What is wrong with the words alone; empty: nothing.
std::string wrong_words(const BenchOptions& options) {
  if (options.json && options.markdown) return "--json and --markdown: one of them";
  if (options.runs < 1 || options.runs > kMostRuns) return "--runs: a number from 1 to 1000";
  if (!options.create.empty() && parse_size(options.create).value_or(0) < kLeastSize)
    return "--create " + options.create + ": a size of 1M or more, such as 1G";
  if (auto cut = bytes_of_each("", options.each, UINT64_MAX); !cut) return cut.error().message;
  return {};
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", ::gmtime_r(&now, &parts));
  return text;
}

/// The row that runs, on one line of the terminal.
class Shown {
 public:
  void operator()(const std::string& row, unsigned done, unsigned all) const {
    if (visible_) std::fprintf(stderr, "\r\033[K%u of %u: %s", done + 1, all, row.c_str());
  }
  ~Shown() {
    if (visible_) std::fputs("\r\033[K", stderr);
  }

 private:
  bool visible_ = ::isatty(STDERR_FILENO) == 1;
};

Result<std::vector<std::shared_ptr<Heap>>> choose_heaps(HeapRegistry& registry,
                                                        const std::vector<std::string>& names) {
  if (names.empty()) return registry.scan();
  std::vector<std::shared_ptr<Heap>> heaps;
  for (const std::string& name : names) {
    heaps.push_back(registry.find(name));
    if (heaps.back()) continue;
    std::string message = "--heap " + name + ": there is no such heap here; there are";
    for (const auto& heap : registry.scan()) message.append(" ").append(heap->name());
    return fail(EINVAL, message);
  }
  return heaps;
}

/// One call of the command. What it makes goes with it.
class Bench {
 public:
  explicit Bench(const BenchOptions& options) : options_(options) {}

  /// The exit status.
  Result<int> run();
  /// That ended it; 0: none did.
  [[nodiscard]] int signal() const { return stop_ ? stop_->signal() : 0; }

 private:
  Result<void> make_file();
  Result<void> prepare_ours();
  void make_mount();
  Result<void> measure_all(const std::vector<Row>& rows);
  [[nodiscard]] Environment where() const;
  int list(const std::vector<Row>& rows) const;
  [[nodiscard]] Result<void> print() const;

  const BenchOptions& options_;
  std::optional<Stop> stop_;  // ends last: nothing is to be left behind by a second signal
  std::optional<BenchFile> source_, scratch_;
  std::string real_path_;  // of FILE, without symbolic links
  Ours ours_;
  KernelModule module_;
  std::unique_ptr<BenchMount> mount_;
  Setting setting_;
  Report report_;
};

Result<void> Bench::make_file() {
  TRY(check_answers(options_.file));
  if (lies_in_mount(options_.file))
    return fail(EINVAL, options_.file + ": lies in a dmabuffs mount; bench reads a file of a disk");
  if (!options_.create.empty()) {
    stop_.emplace();
    TRY(create_file(options_.file, TRY(parse_size(options_.create)), [this] { return stop_->asked(); }));
    stop_.reset();  // what starts now is to have the signals as they are
  }
  source_.emplace(TRY(BenchFile::open(options_.file)));
  std::error_code failed;
  real_path_ = std::filesystem::canonical(options_.file, failed);
  if (failed) return fail(failed.value(), options_.file + ": " + failed.message());
  return {};
}

Result<void> Bench::prepare_ours() {
  ours_.heaps = TRY(HeapRegistry::make(ours_.budget, {}));
  setting_.heaps = TRY(choose_heaps(*ours_.heaps, options_.heaps));
  const uint64_t each = TRY(bytes_of_each(options_.chunks, options_.each, source_->size()));
  setting_.reads = {source_->size(), each};
  setting_.writes = {round_up(source_->size(), kPage), round_up(each, kPage)};
  return {};
}

/// Only where a row needs it: it takes us into a namespace of our own.
void Bench::make_mount() {
  setting_.no_mount = "not tried";
  std::vector<std::string> names;
  for (const auto& heap : setting_.heaps)
    if (is_wanted("cp-" + heap->name(), options_.rows)) names.push_back(heap->name());
  if (names.empty() || options_.list) return;
  auto made = BenchMount::make(real_path_, names);
  setting_.no_mount = made ? "" : made.error().message;
  if (made) mount_ = std::move(*made);
}

Environment Bench::where() const {
  utsname names{};
  ::uname(&names);
  Machine machine;
  machine.kernel = names.release;
  machine.io_uring = IoQueue(1).asynchronous();
  machine.io_uring_dmabufs = io_uring_takes_dmabufs();
  Programs programs{DMABUFFS_VERSION,  fuse_pkgversion(),      setting_.fio,
                    module_.why_not(), hypervisor_signature(), utc_now()};
  if (programs.module.empty()) programs.module = "loaded";
  return environment(machine, source_->device(), programs);
}

Result<void> Bench::measure_all(const std::vector<Row>& rows) {
  const Shown shown;
  for (const Direction direction : {Direction::Read, Direction::Write}) {
    const bool reads = direction == Direction::Read;
    Plan plan;
    plan.baseline =
        TRY(choose_baseline(rows, direction, options_.baseline, reads ? kReadCeiling : kWriteCeiling));
    bool any = false;
    for (const Row& row : rows) {
      if (row.direction != direction) continue;
      const bool wanted = is_wanted(row.name, options_.rows);
      if (row.why_not.empty() && (wanted || &row == plan.baseline)) plan.rows.push_back(&row);
      if (!row.why_not.empty() && wanted) report_.left_out.push_back(&row);
      any = any || (row.why_not.empty() && wanted);
    }
    if (!any) continue;
    plan.runs = options_.runs;
    plan.keep_caches = options_.keep_caches;
    plan.source = &*source_;
    plan.scratch = setting_.scratch;
    plan.length = reads ? setting_.reads.length : setting_.writes.length;
    plan.stop = setting_.stop;
    plan.check_memory = [this](uint64_t bytes) { return ours_.budget.check(bytes); };
    plan.progress = std::ref(shown);
    report_.groups.push_back({TRY(measure(plan)), plan.baseline});
  }
  return {};
}

int Bench::list(const std::vector<Row>& rows) const {
  std::vector<std::vector<std::string>> lines{{"row", "on the lists", "what is done", "not here, because"}};
  for (const Row& row : rows)
    lines.push_back({row.name, row.list_name, row.about, escape_controls(row.why_not)});
  std::fputs(table(lines, {}).c_str(), stdout);
  return 0;
}

Result<void> Bench::print() const {
  const std::string text = options_.json ? report_json(report_) : report_text(report_, options_.markdown);
  std::fputs(text.c_str(), stdout);
  if (options_.svg.empty()) return {};
  auto file = TRY(WholeFile::create(options_.svg));
  const std::string chart = report_svg(report_);
  TRY(file.write(std::as_bytes(std::span(chart))));
  return file.finish();
}

Result<int> Bench::run() {
  TRY(make_file());
  if (!options_.svg.empty()) TRY(WholeFile::create(options_.svg));  // not after all the work
  TRY(prepare_ours());
  make_mount();
  stop_.emplace();
  if (options_.write && !options_.list)
    scratch_.emplace(TRY(BenchFile::scratch_beside(real_path_, setting_.writes.length)));
  setting_.source = &*source_;
  // A list has the rows that write, too, and writes nothing.
  setting_.scratch = scratch_ ? &*scratch_ : options_.list ? &*source_ : nullptr;
  setting_.ours = &ours_;
  setting_.mount = mount_.get();
  setting_.module = &module_;
  setting_.stop = &*stop_;
  setting_.fio = fio_version(*stop_);
  if (options_.list) setting_.no_mount.clear();
  const std::vector<Row> rows = all_rows(setting_);
  if (options_.list) return list(rows);
  if (const auto none = unknown_pattern(rows, options_.rows); !none.empty())
    return fail(EINVAL, "--rows " + none + ": there is no such row; --list names them" +
                            (options_.write ? "" : ", and --write adds those that write"));
  if (!options_.baseline.empty() && !unknown_pattern(rows, {options_.baseline}).empty())
    return fail(EINVAL, "--baseline " + options_.baseline + ": there is no such row; --list names them");
  report_.file = options_.file;
  report_.size = source_->size();
  report_.each = setting_.reads.each;
  report_.runs = options_.runs;
  report_.keep_caches = options_.keep_caches;
  report_.environment = where();
  TRY(measure_all(rows));
  TRY(print());
  return all_well(report_) && !report_.groups.empty() ? 0 : 1;
}

}  // namespace

int run_bench(const BenchOptions& options) {
  if (const std::string wrong = wrong_words(options); !wrong.empty()) return misuse("bench", wrong);
  std::signal(SIGXFSZ, SIG_IGN);  // ulimit -f: an error that names the file instead of death
  int signal = 0;
  Result<int> status = 1;
  {
    Bench bench(options);
    status = bench.run();
    signal = bench.signal();
  }
  if (signal != 0) return die_by(signal);
  if (status) return *status;
  if (status.error().code == EINVAL && status.error().message.starts_with("--"))
    return misuse("bench", status.error().message);
  return report("bench: " + status.error().message);
}

}  // namespace dmabuffs::cli
