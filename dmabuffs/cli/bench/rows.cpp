// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/rows.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "dmabuffs/heap/device.h"
#include "dmabuffs/heap/message.h"
#include "dmabuffs/heap/udmabuf_heap.h"
#include "dmabuffs/transfer/uring.h"

namespace dmabuffs::cli::bench {

namespace {

struct HandRow {
  const char* name;
  const char* about;
  Direction direction;
  HandWay way;
  bool on_lists =
      true;  ///< in the threads on linux-mm and dri-devel of 2024 and 2025, with spaces for dashes
};

constexpr auto kRead = Direction::Read;
constexpr auto kWrite = Direction::Write;
constexpr bool kDirect = true, kCached = false, kOwn = false;
using enum Memory;
using enum Means;

constexpr std::array kByHand{
    HandRow{kReadCeiling, "anonymous huge pages, read", kRead, {Anonymous, ReadWrite, kDirect}, kOwn},
    HandRow{"memfd-direct-read", "mmap, read", kRead, {Memfd, ReadWrite, kDirect}},
    HandRow{"udmabuf-buffer-read", "mmap, read", kRead, {Udmabuf, ReadWrite, kCached}},
    HandRow{"udmabuf-direct-read", "mmap, read", kRead, {Udmabuf, ReadWrite, kDirect}},
    HandRow{"udmabuf-buffer-sendfile", "sendfile", kRead, {Udmabuf, Sendfile, kCached}},
    HandRow{"udmabuf-direct-sendfile", "sendfile", kRead, {Udmabuf, Sendfile, kDirect}},
    HandRow{"udmabuf-direct-splice", "splice, a pipe of 1 MiB", kRead, {Udmabuf, Splice, kDirect}},
    HandRow{"udmabuf-huge-direct-read", "hugetlb, read", kRead, {UdmabufHuge, ReadWrite, kDirect}, kOwn},
    HandRow{"udmabuf-huge-registered", "hugetlb, io_uring", kRead, {UdmabufHuge, Registered, kDirect}, kOwn},
    HandRow{"dmabuf-buffer-read", "system heap, mmap, read", kRead, {SystemHeap, ReadWrite, kCached}},
    HandRow{"dmabuf-direct-transfer", "system heap, our module", kRead, {SystemHeap, Module, kDirect}, kOwn},
    HandRow{"dmabuf-direct-load", "our module allocates, too", kRead, {Loaded, Module, kDirect}, kOwn},
    HandRow{"memory-copy", "memcpy, no file", kRead, {Anonymous, CpuCopy, kCached}, kOwn},
    HandRow{"memory-zero", "memset, no file", kRead, {Anonymous, CpuZero, kCached}, kOwn},
    HandRow{kWriteCeiling, "anonymous huge pages, write", kWrite, {Anonymous, ReadWrite, kDirect}, kOwn},
    HandRow{"memfd-direct-write", "mmap, write", kWrite, {Memfd, ReadWrite, kDirect}},
    HandRow{"memfd-buffer-sendfile-write", "sendfile", kWrite, {Memfd, Sendfile, kCached}, kOwn},
    HandRow{"udmabuf-direct-write", "mmap, write", kWrite, {Udmabuf, ReadWrite, kDirect}},
    HandRow{"dmabuf-buffer-write", "system heap, mmap, write", kWrite, {SystemHeap, ReadWrite, kCached}},
    HandRow{"dmabuf-direct-write", "system heap, our module", kWrite, {SystemHeap, Module, kDirect}, kOwn},
};

/// What was refused, or nothing.
template <class T>
std::string refusal(const Result<T>& result) {
  return result ? "" : result.error().message;
}

std::string why_no_node(const std::string& node) {
  if (::access(node.c_str(), F_OK) != 0) return "there is no " + node;
  return refusal(open_node(node));
}

std::string why_no_udmabuf(const Cut& cut, bool huge) {
  if (auto why = why_no_node("/dev/udmabuf"); !why.empty()) return why;
  const UdmabufSource source;
  if (auto fits = source.check_size(round_up(cut.each, huge ? kHugePage : kPage)); !fits)
    return fits.error().message + "; or take smaller buffers (--each)";
  const uint64_t needed = cut.count() * round_up(cut.each, kHugePage);
  if (!huge || source.huge_pages.available() >= needed) return {};
  return "not enough huge pages; as root: sysctl -w vm.nr_overcommit_hugepages=" +
         std::to_string(source.huge_pages.overcommit_needed(needed));
}

std::string why_no_registered(uint64_t bytes) {
  if (!IoQueue(1).asynchronous()) return "io_uring is not allowed here (kernel.io_uring_disabled, seccomp)";
  rlimit limit{};
  if (::geteuid() == 0 || ::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur >= bytes) return {};
  return "registering " + size_text(bytes) + " needs ulimit -l " + std::to_string(bytes / kKiB) +
         " (or root)";
}

std::string why_not(const HandWay& way, const Cut& cut, const BenchFile& file, const Setting& setting) {
  if (way.direct && file.direct_fd() < 0) return file.path() + ": " + file.no_direct();
  std::string why;
  if (way.memory == Udmabuf || way.memory == UdmabufHuge)
    why = why_no_udmabuf(cut, way.memory == UdmabufHuge);
  if (way.memory == SystemHeap) why = why_no_node("/dev/dma_heap/system");
  if (why.empty() && way.means == Registered) why = why_no_registered(cut.length);
  if (why.empty() && way.means == Module) why = setting.module->why_not();
  if (why.empty() && way.memory == Loaded && !setting.module->can_load())
    why = "this kernel module has no LOAD";
  return why;
}

std::string path_of(const HandWay& way) {
  if (way.means == CpuCopy || way.means == CpuZero) return "memory";
  if (way.means == Module) return "kernel module, direct";
  return way.direct ? "O_DIRECT" : "page cache";
}

Row hand_row(const HandRow& hand, const Setting& setting) {
  const bool reads = hand.direction == kRead;
  const Cut cut = reads ? setting.reads : setting.writes;
  Row row{hand.name, "", hand.about, hand.direction, path_of(hand.way), hand.way.direct};
  if (hand.on_lists) row.list_name = hand.name;
  std::replace(row.list_name.begin(), row.list_name.end(), '-', ' ');
  row.has_content = hand.way.means != CpuZero;
  row.why_not = why_not(hand.way, cut, reads ? *setting.source : *setting.scratch, setting);
  const HandTools tools{*setting.source, setting.scratch, *setting.module};
  row.make = [way = hand.way, direction = hand.direction, cut, tools] {
    return by_hand(way, direction, cut, tools);
  };
  return row;
}

Row fio_row(Direction direction, const Setting& setting) {
  const BenchFile& file = direction == kRead ? *setting.source : *setting.scratch;
  Row row{std::string("fio-") + to_string(direction),
          "",
          "fio by io_uring; its own clock, a process",
          direction,
          "O_DIRECT",
          true};
  row.has_content = false;
  if (setting.fio.empty())
    row.why_not = "fio is not installed";
  else if (file.direct_fd() < 0)
    row.why_not = file.path() + ": " + file.no_direct();
  row.make = [direction, &file, stop = setting.stop] { return by_fio(direction, file, *stop); };
  return row;
}

void add_ours(const std::shared_ptr<Heap>& heap, const Setting& setting, std::vector<Row>& rows) {
  const std::string why = why_no_buffer(*heap);
  for (const Load load : {Load::First, Load::Recycled}) {
    const bool first = load == Load::First;
    Row row{"ours-" + heap->name() + (first ? "-first" : "-recycled"), "",
            first ? "our engine; new memory" : "our engine; memory of a removed buffer", kRead};
    row.why_not = why.empty() && !first && !heap->is_dmabuf() ? "no memory of this heap is kept" : why;
    row.make = [heap, load, &setting] {
      return by_engine(*setting.ours, heap, load, setting.reads, *setting.source, *setting.stop);
    };
    rows.push_back(std::move(row));
  }
  Row row{"cp-" + heap->name(), "", "cp into a mount; the whole process", kRead};
  row.why_not = !why.empty() ? why : setting.no_mount;
  if (row.why_not.empty() && setting.reads.count() > 1)
    row.why_not = "cp fills one buffer with a file, not several";
  row.make = [name = heap->name(), &setting] { return by_cp(*setting.mount, name, *setting.stop); };
  rows.push_back(std::move(row));
}

}  // namespace

std::vector<Row> all_rows(const Setting& setting) {
  std::vector<Row> rows;
  for (const Direction direction : {kRead, kWrite}) {
    if (direction == kWrite && setting.scratch == nullptr) break;
    for (const HandRow& hand : kByHand) {
      if (hand.direction != direction) continue;
      rows.push_back(hand_row(hand, setting));
      if (&hand == &kByHand.front() || hand.name == std::string(kWriteCeiling))
        rows.push_back(fio_row(direction, setting));
    }
    for (const auto& heap : setting.heaps) {
      if (direction == kRead) {
        add_ours(heap, setting, rows);
        continue;
      }
      Row row{"ours-" + heap->name() + "-write", "", "our engine", kWrite};
      row.why_not = why_no_buffer(*heap);
      row.make = [heap, &setting] {
        return write_by_engine(*setting.ours, heap, setting.writes, *setting.scratch, *setting.stop);
      };
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace dmabuffs::cli::bench
