// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/tickets.h"
#include "catch.h"

using namespace dmabuffs;

namespace {

struct SomeNode : Node {
  SomeNode() : Node(7) {}
  Result<struct stat> getattr(const Caller&, OpenFile*) override { return fail(EIO, ""); }
};
struct SomeFile : OpenFile {
  Result<size_t> read(uint64_t, std::span<std::byte>) override { return size_t{0}; }
  Result<End> transfer_end(Access) override { return fail(EOPNOTSUPP, ""); }
};

constexpr uid_t kOwner = 1000;

Tickets::OpenedFile some_file() {
  return {std::make_shared<SomeNode>(), std::make_shared<SomeFile>(), 1};
}

}  // namespace

TEST_CASE("a ticket stands for its open file, once") {
  Tickets tickets(kOwner);
  auto file = some_file();
  const auto bits = tickets.issue(5, file);
  REQUIRE(bits);
  const auto found = tickets.redeem(to_text(*bits));
  REQUIRE(found);
  CHECK(found->node == file.node);
  CHECK(found->open == file.open);
  CHECK(found->flags == 1);
  CHECK(tickets.redeem(to_text(*bits)).error().code == ESTALE);
}

TEST_CASE("a ticket that is old, or whose file is closed, is none") {
  Tickets tickets(kOwner);
  auto file = some_file();
  const auto now = Tickets::Clock::now();
  CHECK(tickets.redeem(to_text(*tickets.issue(5, file, now)), now + Tickets::kLife).error().code == ESTALE);
  const auto bits = tickets.issue(5, file);
  file.open.reset();
  CHECK(tickets.redeem(to_text(*bits)).error().code == ESTALE);
}

TEST_CASE("tickets are bounded for each user, and none is lost for another's") {
  Tickets tickets(kOwner);
  auto file = some_file();
  const auto now = Tickets::Clock::now();
  const auto first = tickets.issue(5, file, now);
  for (size_t i = 1; i < Tickets::kMaxOfUser; ++i) REQUIRE(tickets.issue(5, file, now));
  CHECK(tickets.issue(5, file, now).error().code == EBUSY);
  CHECK(tickets.issue(6, file, now));
  CHECK(tickets.redeem(to_text(*first), now));
  CHECK(tickets.issue(5, file, now));
  CHECK(tickets.issue(5, file, now).error().code == EBUSY);
  CHECK(tickets.issue(5, file, now + Tickets::kLife));  // the old ones are gone
  for (uid_t user = 100; user < 200; ++user)
    for (size_t i = 0; i < Tickets::kMaxOfUser; ++i) (void)tickets.issue(user, file, now + Tickets::kLife);
  CHECK(tickets.issue(7, file, now + Tickets::kLife).error().code == EBUSY);
  // The last quarter is the owner's and root's.
  for (const uid_t user : {kOwner, uid_t{0}}) {
    for (size_t i = 0; i < Tickets::kMaxOfUser; ++i) REQUIRE(tickets.issue(user, file, now + Tickets::kLife));
    CHECK(tickets.issue(user, file, now + Tickets::kLife).error().code == EBUSY);
  }
}
