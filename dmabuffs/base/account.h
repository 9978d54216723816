// SPDX-License-Identifier: MIT
/// Names of users and groups, for messages (getpwuid_r(3), getgrgid_r(3)).
#pragma once
#include <sys/types.h>

#include <string>

namespace dmabuffs {

/// "uid N" where there is no name.
std::string user_name(uid_t user);
/// Its number where there is no name: usermod(8) takes both.
std::string group_name(gid_t group);

}  // namespace dmabuffs
