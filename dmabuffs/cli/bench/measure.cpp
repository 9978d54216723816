// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/measure.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli::bench {

namespace {

double own_cpu() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

/// Runs a step of an attempt; adds what it took.
Result<void> timed(Attempt& attempt, Result<void> (Attempt::*step)(), double& milliseconds, double& cpu) {
  const double own = own_cpu(), others = attempt.others_cpu();
  const auto start = std::chrono::steady_clock::now();
  auto done = (attempt.*step)();
  milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  cpu += own_cpu() - own + attempt.others_cpu() - others;
  return done;
}

class Measurement {
 public:
  explicit Measurement(const Plan& plan) : plan_(plan) {
    for (const Row* row : plan.rows) measured_.rows.push_back({row, {}, {}, {}});
  }

  Result<Measured> run() {
    const unsigned all =
        plan_.runs * (static_cast<unsigned>(plan_.rows.size()) + (plan_.baseline != nullptr ? 1 : 0));
    unsigned done = 0;
    for (unsigned run = 0; run < plan_.runs; ++run)
      for (RowResult* result : round()) {
        plan_.progress(result->row->name, done++, all);
        TRY(run_row(*result));
      }
    return std::move(measured_);
  }

 private:
  std::vector<RowResult*> round() {
    std::vector<RowResult*> order;
    RowResult* baseline = nullptr;
    for (RowResult& result : measured_.rows) {
      if (result.row == plan_.baseline)
        baseline = &result;
      else
        order.push_back(&result);
    }
    if (baseline == nullptr) return order;
    order.insert(order.begin(), baseline);
    order.push_back(baseline);
    return order;
  }

  /// What goes wrong with a row ends that row.
  Result<void> run_row(RowResult& result) {
    if (!result.error.empty()) return {};
    auto sample = attempt(result);
    if (plan_.stop->asked()) return fail(EINTR, "interrupted");
    TRY(plan_.source->unchanged());
    if (sample)
      result.samples.push_back(*sample);
    else
      result.error = sample.error().message;
    return {};
  }

  [[nodiscard]] std::optional<bool> drop(const BenchFile& file) const {
    if (!plan_.keep_caches) return file.drop();
    std::vector<std::byte> piece(kMiB);  // through the page cache: not aligned for anything else
    for (uint64_t at = 0; at < file.size(); at += piece.size() - 1)
      (void)file.read(at, std::span(piece).subspan(1).first(std::min(piece.size() - 1, file.size() - at)));
    return false;
  }

  Result<Sample> attempt(RowResult& result) {
    const Row& row = *result.row;
    const bool writes = row.direction == Direction::Write;
    const BenchFile& file = writes ? *plan_.scratch : *plan_.source;
    TRY(plan_.check_memory(plan_.length));
    const auto attempt = row.make();
    TRY(attempt->prepare());
    Sample sample;
    if (!writes) sample.cold = drop(file);
    TRY(timed(*attempt, &Attempt::create, sample.create, sample.cpu));
    const uint64_t stamp = writes ? ++stamps_ : 0;
    if (writes && row.has_content)
      TRY(fill_from(*plan_.source, plan_.length, stamp,
                    [&](uint64_t at, auto from) { return attempt->put(at, from); }));
    if (writes) sample.cold = drop(file);
    TRY(timed(*attempt, &Attempt::move, sample.move, sample.cpu));
    if (const auto own = attempt->own_milliseconds()) sample.move = *own;
    result.path = attempt->path().empty() ? row.path : attempt->path();
    if (row.stays_out && sample.cold == true && file.cached().value_or(0) > 0)
      return fail(EIO, "not direct: " + size_text(file.cached().value_or(0)) + " went into the page cache");
    if (row.has_content) TRY(check(*attempt, file, writes, stamp));
    TRY(timed(*attempt, &Attempt::close, sample.close, sample.cpu));
    return sample;
  }

  Result<void> check(Attempt& attempt, const BenchFile& file, bool writes, uint64_t stamp) {
    const Get get = [&](uint64_t at, std::span<std::byte> to) {
      return writes ? file.read(at, to) : attempt.get(at, to);
    };
    // What is read has FILE's bytes only; what is written all that was in the buffer.
    const uint64_t length = writes ? plan_.length : plan_.source->size();
    TRY(check_content(*plan_.source, length, stamp, get));
    if (measured_.control) return {};
    const uint64_t where = length / 2 + 1;
    if (writes) {
      TRY(file.spoil(where));
    } else {
      std::byte one{};
      TRY(attempt.get(where, {&one, 1}));
      one ^= std::byte{1};
      TRY(attempt.put(where, {&one, 1}));
    }
    measured_.control = !check_content(*plan_.source, length, stamp, get);
    return {};
  }

  const Plan& plan_;
  Measured measured_;
  uint64_t stamps_ = 1;  // 1 is what the scratch file begins with
};

}  // namespace

Summary summarise(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  const double median = values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

Summary RowResult::of(const std::function<double(const Sample&)>& what) const {
  std::vector<double> values;
  values.reserve(samples.size());
  for (const Sample& sample : samples) values.push_back(what(sample));
  return summarise(std::move(values));
}

bool RowResult::cold() const {
  return std::all_of(samples.begin(), samples.end(),
                     [](const Sample& sample) { return sample.cold == true; });
}

Result<Measured> measure(const Plan& plan) {
  return Measurement(plan).run();
}

}  // namespace dmabuffs::cli::bench
