// SPDX-License-Identifier: MIT
// Catch2 v2 (Debian 12) has no library with main().
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
