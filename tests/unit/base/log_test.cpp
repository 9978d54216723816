// SPDX-License-Identifier: MIT
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <sstream>

#include "catch.h"
#include "dmabuffs/base/limited_sink.h"
#include "dmabuffs/base/log.h"

using namespace dmabuffs;
using namespace std::chrono_literals;

namespace {

struct Log {
  std::ostringstream text;
  std::shared_ptr<LimitedSink> sink;
  LimitedSink::Clock::time_point now = LimitedSink::Clock::now();

  Log() {
    auto to = std::make_shared<spdlog::sinks::ostream_sink_mt>(text);
    to->set_pattern("%v");
    sink = std::make_shared<LimitedSink>(std::move(to), [this] { return now; });
  }
  void line(int place, const std::string& what, spdlog::level::level_enum level = spdlog::level::warn) {
    sink->log(spdlog::details::log_msg(spdlog::source_loc{"file.cpp", place, ""}, "", level, what));
  }
  [[nodiscard]] long lines() const {
    const std::string all = text.str();
    return std::count(all.begin(), all.end(), '\n');
  }
  [[nodiscard]] bool has(const std::string& what) const { return text.str().find(what) != std::string::npos; }
};

}  // namespace

TEST_CASE("log: a flood of one kind leaves a few lines and a count, and no other kind out") {
  Log log;
  for (int i = 0; i < 100000; ++i) log.line(1, "flood " + std::to_string(i));
  log.line(2, "other");
  CHECK(log.lines() == LimitedSink::kLines + 1);
  CHECK(log.has("other\n"));

  log.now += LimitedSink::kWindow;
  log.line(2, "later");
  CHECK(log.has("99990 more lines like this were left out: flood 99999\n"));
  CHECK(log.lines() == LimitedSink::kLines + 3);
  log.line(1, "flood again");
  CHECK(log.has("flood again\n"));
}

TEST_CASE("log: the end tells what was left out, and debug lines never are") {
  Log log;
  for (int i = 0; i < 1000; ++i) log.line(1, "debug", spdlog::level::debug);
  CHECK(log.lines() == 1000);
  for (int i = 0; i < 12; ++i) log.line(1, "flood");
  log.sink.reset();
  CHECK(log.has("2 more lines like this"));
}

TEST_CASE("log: a name with newlines and escapes in it makes no line of its own") {
  Log log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", log.sink));
  log_warning("a\nb\x1b[31mc: too large");
  spdlog::set_default_logger(before);
  CHECK(log.text.str() == "a?b?[31mc: too large\n");
}
