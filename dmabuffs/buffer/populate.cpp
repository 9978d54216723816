// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/populate.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <vector>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kPartWorthAThread = uint64_t{16} << 20;
constexpr unsigned kMostThreads = 4;

}  // namespace

Result<void> populate_all(std::span<std::byte> bytes) {
  return in_parts(bytes, [](std::span<std::byte> part, uint64_t) { return populate(part); });
}

Result<void> in_parts(std::span<std::byte> bytes,
                      const std::function<Result<void>(std::span<std::byte> part, uint64_t offset)>& work) {
  if (bytes.empty()) return {};
  if (bytes.size() < 2 * kPartWorthAThread) return work(bytes, 0);
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const uint64_t threads =
      std::clamp<uint64_t>(bytes.size() / kPartWorthAThread, 1, std::min(cores, kMostThreads));
  // Parts begin at huge pages, so that no two threads want the same one.
  const uint64_t part = round_up((bytes.size() + threads - 1) / threads, kHugePage);
  std::vector<Result<void>> outcomes(threads);
  const auto do_part = [&](uint64_t number) {
    const uint64_t begin = std::min<uint64_t>(number * part, bytes.size());
    outcomes[number] = work(bytes.subspan(begin, std::min<uint64_t>(part, bytes.size() - begin)), begin);
  };
  std::vector<std::thread> helpers;
  for (uint64_t number = 1; number < threads; ++number) {
    try {
      helpers.emplace_back(do_part, number);
    } catch (const std::system_error&) {
      do_part(number);  // the machine has no thread to spare
    }
  }
  do_part(0);
  for (std::thread& helper : helpers) helper.join();
  for (Result<void>& outcome : outcomes) {
    if (!outcome) return std::move(outcome);
  }
  return {};
}

}  // namespace dmabuffs
