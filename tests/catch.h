// SPDX-License-Identifier: MIT
// Catch2 v2 on Debian 12, v3 on Debian 13: the tests include this.
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
