// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/transfer.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("piece size: it starts at 64 MiB and follows the rate to about a second, at most 256 MiB") {
  PieceSize piece;
  CHECK(piece.next() == 64 * kMiB);
  piece.took(64 * kMiB, 0.01);
  CHECK(piece.next() == 256 * kMiB);
  piece.took(256 * kMiB, 8.0);
  CHECK(piece.next() == 32 * kMiB);
  piece.took(1000, 0.001);  // the last piece of a file
  CHECK(piece.next() == 32 * kMiB);
  piece.took(32 * kMiB, 1000.0);
  CHECK(piece.next() == 2 * kMiB);
}
