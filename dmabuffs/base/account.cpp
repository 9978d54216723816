// SPDX-License-Identifier: MIT
#include "dmabuffs/base/account.h"

#include <grp.h>
#include <pwd.h>

#include <array>

namespace dmabuffs {

std::string user_name(uid_t user) {
  std::array<char, 4096> room{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(user, &entry, room.data(), room.size(), &found);
  return found != nullptr ? found->pw_name : "uid " + std::to_string(user);
}

std::string group_name(gid_t group) {
  std::array<char, 4096> room{};
  ::group entry{};
  ::group* found = nullptr;
  ::getgrgid_r(group, &entry, room.data(), room.size(), &found);
  return found != nullptr ? found->gr_name : std::to_string(group);
}

}  // namespace dmabuffs
