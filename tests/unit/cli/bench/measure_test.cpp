// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/measure.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "catch.h"

using namespace dmabuffs;
using namespace dmabuffs::cli::bench;

namespace {

/// FILE, and rows that copy it into a vector, or do what a test wants of them.
class Bank {
 public:
  Bank() {
    path_ = std::filesystem::temp_directory_path() / ("bench." + std::to_string(::getpid()));
    REQUIRE(create_file(path_, kLeastSize + 5, [] { return false; }));
    file.emplace(*BenchFile::open(path_));
    plan.source = &*file;
    plan.length = file->size();
    plan.runs = 2;
    plan.stop = &stop;
    plan.check_memory = [](uint64_t) { return Result<void>(); };
    plan.progress = [](const std::string&, unsigned, unsigned) {};
  }
  Bank(const Bank&) = delete;
  Bank& operator=(const Bank&) = delete;
  ~Bank() { std::filesystem::remove(path_); }

  using Move = std::function<Result<void>(std::vector<std::byte>& memory)>;
  Row row(const std::string& name, Move move) {
    struct Run final : Attempt {
      explicit Run(Move with) : work(std::move(with)) {}
      Result<void> move() override { return work(memory); }
      Result<void> get(uint64_t offset, std::span<std::byte> to) override {
        std::memcpy(to.data(), memory.data() + offset, to.size());
        return {};
      }
      Result<void> put(uint64_t offset, std::span<const std::byte> from) override {
        std::memcpy(memory.data() + offset, from.data(), from.size());
        return {};
      }
      Move work;
      std::vector<std::byte> memory;
    };
    Row made;
    made.name = name;
    made.path = "by a test";
    made.make = [this, name, move = std::move(move)] {
      order += name + " ";
      return std::make_unique<Run>(move);
    };
    return made;
  }
  Move reads() {
    return [this](std::vector<std::byte>& memory) {
      memory.resize(file->size());
      return file->read(0, memory);
    };
  }
  [[nodiscard]] const std::string& path() const { return path_; }

  Stop stop;
  std::optional<BenchFile> file;
  Plan plan;
  std::string order;

 private:
  std::string path_;
};

}  // namespace

TEST_CASE("a median is the middle one, or between the two in the middle", "[bench]") {
  const Summary odd = summarise({5, 1, 3});
  CHECK(odd.median == 3);
  CHECK(odd.least == 1);
  CHECK(odd.most == 5);
  CHECK(summarise({4, 1, 2, 100}).median == 3);
  CHECK(summarise({}).most == 0);
}

TEST_CASE("rows take turns, the baseline first and last", "[bench]") {
  Bank bank;
  const Row a = bank.row("a", bank.reads()), b = bank.row("b", bank.reads()), c = bank.row("c", bank.reads());
  bank.plan.rows = {&a, &b, &c};
  bank.plan.baseline = &b;
  const auto measured = measure(bank.plan);
  REQUIRE(measured);
  CHECK(bank.order == "b a c b b a c b ");
  CHECK(measured->rows[0].samples.size() == 2);
  CHECK(measured->rows[1].samples.size() == 4);
  CHECK(measured->rows[0].path == "by a test");
  CHECK(measured->control == true);
}

TEST_CASE("wrong bytes end a row, and that alone", "[bench]") {
  Bank bank;
  const Row good = bank.row("good", bank.reads());
  const Row bad = bank.row("bad", [&](std::vector<std::byte>& memory) -> Result<void> {
    memory.resize(bank.file->size());
    if (auto read = bank.file->read(0, memory); !read) return read;
    memory.back() ^= std::byte{1};
    return {};
  });
  const Row broken = bank.row("broken", [](auto&) -> Result<void> { return fail(EIO, "no such luck"); });
  bank.plan.rows = {&bad, &broken, &good};
  const auto measured = measure(bank.plan);
  REQUIRE(measured);
  CHECK(measured->rows[0].error ==
        "wrong content: byte " + std::to_string(kLeastSize + 4) + " is not the file's");
  CHECK(measured->rows[1].error == "no such luck");
  CHECK(measured->rows[2].samples.size() == 2);
  CHECK(bank.order == "bad broken good good ");
}

TEST_CASE("a direct row that fills the page cache has failed", "[bench]") {
  Bank bank;
  Row row = bank.row("row", [&](std::vector<std::byte>& memory) -> Result<void> {
    memory.resize(bank.file->size());
    REQUIRE(::pread(bank.file->fd(), memory.data(), memory.size(), 0) == static_cast<ssize_t>(memory.size()));
    return {};
  });
  bank.plan.rows = {&row};
  CHECK(measure(bank.plan)->rows[0].error.empty());
  row.stays_out = true;
  // A tmpfs is all page cache, and what it holds can't be dropped.
  if (bank.file->direct_fd() >= 0) CHECK(measure(bank.plan)->rows[0].error.starts_with("not direct: "));
}

TEST_CASE("a file that is changed meanwhile ends it all", "[bench]") {
  Bank bank;
  const Row row = bank.row("row", [&](std::vector<std::byte>& memory) -> Result<void> {
    std::filesystem::resize_file(bank.path(), bank.file->size() + 1);
    return bank.reads()(memory);
  });
  bank.plan.rows = {&row};
  const auto measured = measure(bank.plan);
  REQUIRE_FALSE(measured);
  CHECK(measured.error().message ==
        bank.path() + ": changed while it was measured; use a file that nobody writes");
}
