// SPDX-License-Identifier: MIT
#pragma once
#include <spdlog/sinks/base_sink.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace dmabuffs {

/// Hands lines on to another sink, but of one kind (one place in the program that logs) no more than kLines
/// in kWindow: some of them anyone can cause as often as they like. How many were left out is told when the
/// window has passed, before the next line of any kind or at the end. Debug lines are not counted.
class LimitedSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  static constexpr unsigned kLines = 10;
  static constexpr auto kWindow = std::chrono::seconds(10);

  using Clock = std::chrono::steady_clock;  // lines have the time of day, which may be set back
  /// `now` is replaced in tests.
  explicit LimitedSink(spdlog::sink_ptr to, std::function<Clock::time_point()> now = Clock::now)
      : to_(std::move(to)), now_(std::move(now)) {}
  ~LimitedSink() override { tell_left_out(Clock::time_point::max()); }
  LimitedSink(const LimitedSink&) = delete;
  LimitedSink& operator=(const LimitedSink&) = delete;

 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    if (line.level < spdlog::level::info) return to_->log(line);
    const auto now = now_();
    tell_left_out(now);
    Kind& kind = kinds_[{line.source.filename, line.source.line}];
    if (kind.lines == 0) kind.until = now + kWindow;
    if (++kind.lines <= kLines) return to_->log(line);
    ++kind.left_out;
    kind.last.assign(line.payload.data(), std::min(line.payload.size(), kKept));
  }
  void flush_() override { to_->flush(); }
  void set_pattern_(const std::string& pattern) override { to_->set_pattern(pattern); }
  void set_formatter_(std::unique_ptr<spdlog::formatter> formatter) override {
    to_->set_formatter(std::move(formatter));
  }

 private:
  struct Kind {
    Clock::time_point until;
    unsigned lines = 0;
    uint64_t left_out = 0;
    std::string last;
  };
  static constexpr size_t kKept = 200;  // of a line that was left out

  void tell_left_out(Clock::time_point now) {
    std::erase_if(kinds_, [&](const auto& entry) {
      const Kind& kind = entry.second;
      if (kind.until > now) return false;
      if (kind.left_out == 0) return true;
      const std::string text =
          std::to_string(kind.left_out) + " more lines like this were left out: " + kind.last;
      to_->log(spdlog::details::log_msg("", spdlog::level::warn, text));
      return true;
    });
  }

  const spdlog::sink_ptr to_;
  const std::function<Clock::time_point()> now_;
  std::map<std::pair<std::string_view, int>, Kind> kinds_;
};

}  // namespace dmabuffs
