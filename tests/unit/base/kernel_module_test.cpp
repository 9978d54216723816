// SPDX-License-Identifier: MIT
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "catch.h"
#include "dmabuffs/base/kernel_module.h"
#include "heap_support.h"

using namespace dmabuffs;

TEST_CASE("the kernel module: why it can't be used, and it is asked again later") {
  const heap_test::TemporaryDirectory directory;
  const std::string path = directory.path() + "/device";
  const KernelModule module(path);
  CHECK_FALSE(module.can_transfer());
  CHECK(module.why_not() == "the kernel module dmabuf_file is not loaded");
  CHECK_FALSE(module.is_unfit());
  // Something else is there now; what asks meanwhile, from several threads, gets the one answer or the other.
  { const std::ofstream file(path); }
  std::atomic<bool> changed{false};
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i)
    askers.emplace_back([&] {
      while (!changed && std::chrono::steady_clock::now() < give_up) {
        if (module.why_not().find("another version") != std::string::npos) changed = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  for (std::thread& asker : askers) asker.join();
  CHECK(changed);
  CHECK_FALSE(module.can_transfer());
  CHECK(module.is_unfit());
}
