// SPDX-License-Identifier: MIT
// These run as root, as the daemon that serves other users does.
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/sysmacros.h>

#include "catch.h"
#include "dmabuffs/tree/caller_rights.h"
#include "files_support.h"

using namespace files_test;

namespace {

constexpr uid_t kAlice = 21001, kBob = 21002;
constexpr gid_t kTeam = 22001;

uint64_t effective_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct words[2] = {};
  REQUIRE(::syscall(SYS_capget, &header, words) == 0);
  return words[0].effective | uint64_t{words[1].effective} << 32;
}

std::vector<gid_t> own_groups() {
  std::vector<gid_t> groups(static_cast<size_t>(::getgroups(0, nullptr)));
  REQUIRE(::getgroups(static_cast<int>(groups.size()), groups.data()) >= 0);
  return groups;
}

bool has(uint64_t set, int capability) {
  return (set >> capability & 1) != 0;
}

void drop_all_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) ::_exit(1);
}

void own(const std::string& path, uid_t uid, gid_t gid, mode_t mode) {
  REQUIRE(::chown(path.c_str(), uid, gid) == 0);
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

}  // namespace

TEST_CASE("a thread that acts as a user has that user's rights and none of root's, and gets its own back") {
  REQUIRE(::geteuid() == 0);
  const uint64_t before = effective_capabilities();
  const auto groups_before = own_groups();
  REQUIRE(has(before, CAP_DAC_OVERRIDE));
  {
    const auto rights = CallerRights::take({kAlice, kAlice, {kTeam, 7}, ~uint64_t{0}});
    REQUIRE(rights);
    CHECK(::setfsuid(-1) == static_cast<int>(kAlice));
    CHECK(::setfsgid(-1) == static_cast<int>(kAlice));
    CHECK(own_groups() == std::vector<gid_t>{7, kTeam});
    CHECK(effective_capabilities() == 0);
    uint64_t elsewhere = 0;
    std::thread([&] { elsewhere = effective_capabilities(); }).join();
    CHECK(elsewhere == 0);  // a thread inherits from its maker…
  }
  CHECK(effective_capabilities() == before);
  CHECK(own_groups() == groups_before);
  CHECK(::setfsuid(-1) == 0);
  CHECK(::setfsgid(-1) == static_cast<int>(::getegid()));
}

TEST_CASE("taking a user's rights leaves the other threads alone") {
  std::atomic<bool> taken{false}, seen{false};
  uint64_t there = 0;
  int there_uid = -1;
  std::vector<gid_t> there_groups;
  const auto groups_before = own_groups();
  std::thread other([&] {
    while (!taken) std::this_thread::yield();
    there = effective_capabilities();
    there_uid = ::setfsuid(-1);
    there_groups = own_groups();
    seen = true;
  });
  {
    const auto rights = CallerRights::take({kAlice, kAlice, {kTeam}, 0});
    REQUIRE(rights);
    taken = true;
    while (!seen) std::this_thread::yield();
  }
  other.join();
  CHECK(has(there, CAP_DAC_OVERRIDE));
  CHECK(there_uid == 0);
  CHECK(there_groups == groups_before);
}

TEST_CASE("acting as root never has CAP_SYS_RESOURCE, nor what the caller lacks") {
  {
    const auto rights = CallerRights::take({0, 0, {}, ~uint64_t{0}});
    REQUIRE(rights);
    CHECK_FALSE(has(effective_capabilities(), CAP_SYS_RESOURCE));
    CHECK(has(effective_capabilities(), CAP_DAC_OVERRIDE));
  }
  const auto rights = CallerRights::take({0, 0, {}, uint64_t{1} << CAP_CHOWN});
  REQUIRE(rights);
  CHECK(effective_capabilities() == uint64_t{1} << CAP_CHOWN);
}

TEST_CASE("a daemon that may not switch users refuses instead of acting as itself") {
  const int status = in_child([] {
    if (::syscall(SYS_setresuid, kBob, kBob, kBob) != 0) return 1;
    const auto rights = CallerRights::take({kAlice, kAlice, {}, 0});
    return rights || rights.error().code != EPERM || ::setfsuid(-1) != static_cast<int>(kBob) ? 2 : 0;
  });
  CHECK(status == 0);
}

TEST_CASE("groups and capabilities come from the process that asks, if it is the one it says") {
  const Bystander alice(kAlice, kAlice, {kTeam});
  const auto known = credentials_of(alice.caller());
  CHECK(known.uid == kAlice);
  CHECK(known.groups == std::vector<gid_t>{kTeam});
  CHECK(known.capabilities == 0);

  Caller liar = alice.caller();
  liar.uid = kBob;  // alice's number, used again by bob's process
  CHECK(credentials_of(liar).groups.empty());
  Caller elsewhere = alice.caller();
  elsewhere.pid = 0;
  CHECK(credentials_of(elsewhere).groups.empty());

  const Caller root{0, ::getegid(), static_cast<pid_t>(::syscall(SYS_gettid)), 0};
  CHECK(has(credentials_of(root).capabilities, CAP_DAC_OVERRIDE));
  const Caller unseen{0, 0, 0, 0};
  CHECK(credentials_of(unseen).capabilities == 0);

  const Bystander away(0, 0, {}, [] { (void)::unshare(CLONE_NEWUSER); });  // not to be had in a chroot
  struct stat here {
  }, there{};
  REQUIRE(::stat("/proc/self/ns/user", &here) == 0);
  REQUIRE(::stat(("/proc/" + std::to_string(away.caller().pid) + "/ns/user").c_str(), &there) == 0);
  CHECK((credentials_of(away.caller()).capabilities != 0) == (here.st_ino == there.st_ino));
}

TEST_CASE("with allow_other every operation has the rights of who asks") {
  Host host(settings_for_everyone());
  const Bystander alice(kAlice, kAlice, {kTeam});
  const Bystander bob(kBob, kBob, {});
  put(host.tree.path("team"), "for the team");
  own(host.tree.path("team"), 0, kTeam, 0640);
  put(host.tree.path("bobs"), "mine");
  own(host.tree.path("bobs"), kBob, kBob, 0600);
  REQUIRE(::mkdir(host.tree.path("private").c_str(), 0700) == 0);
  put(host.tree.path("private/file"), "hidden");
  own(host.tree.path("private/file"), 0, 0, 0644);

  const NodePtr team = host.at("team");
  CHECK(read_all(*team->open(alice.caller(), O_RDONLY).value()) ==
        "for the team");  // by a supplementary group
  CHECK(code(team->open(alice.caller(), O_RDWR)) == EACCES);
  CHECK(code(team->open(bob.caller(), O_RDONLY)) == EACCES);
  Caller unseen = alice.caller();
  unseen.pid = 0;
  CHECK(code(team->open(unseen, O_RDONLY)) == EACCES);
  CHECK(code(host.at("bobs")->open(alice.caller(), O_RDONLY)) == EACCES);
  CHECK(host.at("bobs")->open(bob.caller(), O_RDWR));
  CHECK(host.at("bobs")->open(host.me, O_RDWR));

  CHECK(code(host.at("private")->lookup(bob.caller(), "file")) == EACCES);
  CHECK(code(host.at("private")->opendir(bob.caller())) == EACCES);
  // Given open by who may reach it, as on the host: his rights to the file itself are what counts.
  CHECK(host.at("private/file")->open(bob.caller(), O_RDONLY));
  CHECK(code(host.at("private/file")->open(bob.caller(), O_RDWR)) == EACCES);
  CHECK(code(host.at("private/file")->setxattr(bob.caller(), "user.x", "", 0)) == EACCES);
  CHECK(code(host.root->create(bob.caller(), "new", 0600, O_WRONLY | O_CREAT)) == EACCES);
  CHECK(code(host.root->unlink(bob.caller(), "bobs")) == EACCES);
  CHECK(code(host.root->rename(bob.caller(), "bobs", *host.root, "new", 0)) == EACCES);
  AttributeChange change;
  change.mode = 0666;
  CHECK(code(team->setattr(bob.caller(), change, nullptr)) == EPERM);
  change = {};
  change.size = 0;
  CHECK(code(team->setattr(alice.caller(), change, nullptr)) == EACCES);
  change = {};
  change.uid = kAlice;
  CHECK(code(host.at("bobs")->setattr(bob.caller(), change, nullptr)) == EPERM);
  CHECK(::setfsuid(-1) == 0);
}

TEST_CASE("with allow_other what a user makes is his") {
  Host host(settings_for_everyone());
  REQUIRE(::chmod(host.tree.path().c_str(), 01777) == 0);
  const Bystander alice(kAlice, kTeam, {});
  auto made = host.root->create(alice.caller(), "file", 0444, O_WRONLY | O_CREAT).value();
  REQUIRE(host.root->mkdir(alice.caller(), "dir", 0700));
  REQUIRE(host.root->symlink(alice.caller(), "x", "link"));
  CHECK(code(host.root->mknod(alice.caller(), "null", S_IFCHR | 0666, makedev(1, 3))) == EPERM);
  for (const char* name : {"file", "dir", "link"}) {
    const auto st = host.at(name)->getattr(host.me, nullptr);
    REQUIRE(st);
    CHECK(st->st_uid == kAlice);
    CHECK(st->st_gid == kTeam);
  }
  // It may be written through the descriptor it was made with, directly too, though no longer opened for
  // that.
  CHECK(write_text(*made.open, 0, "text").value() == 4);
  CHECK(code(made.node->open(alice.caller(), O_WRONLY)) == EACCES);
  const End opened = made.open->transfer_end(Access::Write).value();
  const FileEnd* end = opened.file();
  const FileEnd plain(::open(host.tree.path("file").c_str(), O_WRONLY), UniqueFd(), "", true);
  CHECK((end->direct_fd() >= 0) == (plain.direct_fd() >= 0));

  const Bystander bob(kBob, kBob, {});
  CHECK(code(host.root->unlink(bob.caller(), "file")) == EPERM);  // sticky
  CHECK(host.root->unlink(alice.caller(), "file"));
}

TEST_CASE(
    "with allow_other a file that the host made since the kernel looked is opened with the rights of who "
    "asks") {
  Host host(settings_for_everyone());
  const Bystander bob(kBob, kBob, {});
  REQUIRE(::chmod(host.tree.path("").c_str(), 01777) == 0);
  put(host.tree.path("bobs"), "mine");
  own(host.tree.path("bobs"), kBob, kBob, 0600);
  put(host.tree.path("roots"), "not his");
  own(host.tree.path("roots"), 0, 0, 0600);
  CHECK(host.root->create(bob.caller(), "bobs", 0600, O_RDWR | O_CREAT));
  CHECK(code(host.root->create(bob.caller(), "roots", 0600, O_RDWR | O_CREAT)) == EACCES);
  CHECK(::setfsuid(-1) == 0);
}

TEST_CASE("root without capabilities gets none from the daemon") {
  Host host(settings_for_everyone());
  put(host.tree.path("bobs"), "mine");
  own(host.tree.path("bobs"), kBob, kBob, 0600);
  const Bystander weak(0, 0, {}, drop_all_capabilities);
  CHECK(code(host.at("bobs")->open(weak.caller(), O_RDONLY)) == EACCES);
  CHECK(host.at("bobs")->open(host.me, O_RDONLY));
}

TEST_CASE("a write by somebody else takes setuid away, and the kernel's request to do so succeeds") {
  Host host(settings_for_everyone());
  const Bystander bob(kBob, kBob, {});
  put(host.tree.path("tool"), "old");
  own(host.tree.path("tool"), 0, 0, 06777);
  const NodePtr tool = host.at("tool");
  auto file = tool->open(bob.caller(), O_WRONLY).value();
  const auto mode = [&] { return tool->getattr(host.me, nullptr)->st_mode & 07777; };

  SECTION("a write") {
    REQUIRE(write_text(*file, 0, "x"));
    CHECK(mode() == 0777);
  }
  SECTION("a transfer") {
    REQUIRE(file->transfer_end(Access::Write));
    CHECK(mode() == 0777);
  }
  SECTION("the kernel, in the writer's name") {
    AttributeChange change;
    change.mode = S_IFREG | 0777;
    change.size = 1;
    CHECK(tool->setattr(bob.caller(), change, nullptr));
    CHECK(mode() == 0777);
    CHECK(get(host.tree.path("tool")) == "o");
    change = {};
    for (const mode_t other : {0770, 0777, 01777}) {
      change.mode = S_IFREG | other;
      CHECK(code(tool->setattr(bob.caller(), change, nullptr)) == EPERM);
    }
    CHECK(mode() == 0777);
    own(host.tree.path("tool"), 0, 0, 06777);
    change.mode = S_IFREG | 02777;  // the group may execute
    CHECK(code(tool->setattr(bob.caller(), change, nullptr)) == EPERM);
    change.mode = S_IFREG | 0777;
    change.mtime = {1, 0};
    CHECK(code(tool->setattr(bob.caller(), change, nullptr)) == EPERM);
    CHECK(mode() == 06777);
  }
}

TEST_CASE("a private mount of root acts as root") {
  Host host;
  put(host.tree.path("bobs"), "mine");
  own(host.tree.path("bobs"), kBob, kBob, 0600);
  CHECK(host.at("bobs")->open(host.me, O_RDWR));
}

TEST_CASE("files/ for other users is refused to who can't take on their rights") {
  MountSettings settings;
  settings.allow_other = true;
  CHECK(check_files_allowed(settings));  // no host directory asked for
  settings.files.push_back({"data", "/data"});
  CHECK(check_files_allowed(settings));
  const int status = in_child([&] {
    if (::syscall(SYS_setresuid, kBob, kBob, kBob) != 0) return 1;
    const auto refused = check_files_allowed(settings);
    if (refused || refused.error().code != EPERM) return 2;
    if (refused.error().message.find("/data") == std::string::npos) return 3;
    settings.allow_other = false;
    return check_files_allowed(settings) ? 0 : 4;
  });
  CHECK(status == 0);
  // "Root" of a user namespace that has nobody else.
  const int confined = in_child([&] {
    if (::unshare(CLONE_NEWUSER) != 0) return 0;  // not possible everywhere
    put("/proc/self/setgroups", "deny");
    put("/proc/self/uid_map", "0 0 1");
    put("/proc/self/gid_map", "0 0 1");
    return check_files_allowed(settings) ? 2 : 0;
  });
  CHECK(confined == 0);
}
