// SPDX-License-Identifier: MIT
/// What a mount needs: /dev/fuse, fusermount3, and what passthrough needs.
/// Where dma-bufs come from, and which path transfers to them will take.
#include "dmabuffs/cli/doctor/checks.h"

#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/cli/doctor/disk.h"
#include "dmabuffs/cli/mount/mountpoint.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/heap/drm_node.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/huge_pages.h"
#include "dmabuffs/heap/memory_gauge.h"
#include "dmabuffs/heap/message.h"
#include "dmabuffs/transfer/planner.h"

namespace dmabuffs::cli {

namespace {

/// A buffer holds up to two descriptors (memfd and dma-buf).
constexpr uint64_t kEnoughDescriptors = 4096;
constexpr uint64_t kEnoughMemory = 64 * kMiB;

Check kernel(const Machine& machine) {
  if (machine.kernel_since(5, 14)) return {"kernel", CheckState::Ok, machine.kernel, ""};
  return {"kernel", CheckState::Warn, machine.kernel + " is older than 5.14: not tested", ""};
}

Check huge_pages(const Machine& machine) {
  const HugePages pages(machine.root + "/sys", machine.root);
  const uint64_t ram = MemoryGauge(machine.root).ram();
  const uint64_t available = pages.available();
  if (pages.in_memory_files()) return {"huge-pages", CheckState::Ok, "memory files have them", ""};
  const bool udmabuf = machine.exists("/dev/udmabuf");
  if (available > 0 && udmabuf)
    return {"huge-pages", CheckState::Ok, size_text(available) + " can be had for udmabuf", ""};
  const std::string why = pages.configured() && udmabuf ? "all in use or held back by the cgroup" : "off";
  constexpr const char* kSwitch = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
  return {"huge-pages", CheckState::Warn,
          why + ": memfd and udmabuf buffers get 4 KiB pages, the first load into one is slower",
          machine.exists(kSwitch)
              ? std::string("echo advise >") + kSwitch
              : "sysctl -w vm.nr_overcommit_hugepages=" + std::to_string(pages.overcommit_needed(ram / 2))};
}

/// Transfers don't use registered dma-bufs: they move between files and buffers, not raw block devices.
Check io_uring(const Machine& machine) {
  if (machine.io_uring) return {"io_uring", CheckState::Ok, io_uring_text(machine), ""};
  const uint64_t off = machine.number("/proc/sys/kernel/io_uring_disabled").value_or(0);
  const std::string why = off != 0 ? "switched off (kernel.io_uring_disabled=" + std::to_string(off) + ")"
                                   : "not allowed here (seccomp, or a kernel without it)";
  // No fix: who switched it off did so for safety.
  return {"io_uring", CheckState::Warn, why + ": transfers have fewer requests in flight", ""};
}

/// What direct I/O meets below the file system. No fix: how the IOMMU works is said at boot, and it protects.
void disk_checks(const Machine& machine, std::vector<Check>& checks) {
  for (const Disk& disk : disks(machine)) {
    const std::string remedy =
        disk.is_cut() ? "; larger ones need iommu=pt, or iommu.passthrough=1, at boot" : "";
    checks.push_back(
        {"disk", disk.is_cut() ? CheckState::Warn : CheckState::Ok, disk_text(disk) + remedy, ""});
  }
}

Check descriptors(const Machine& machine) {
  const std::string limit = "at most " + std::to_string(machine.descriptor_limit) + " open files";
  if (machine.descriptor_limit >= kEnoughDescriptors) return {"descriptors", CheckState::Ok, limit, ""};
  return {"descriptors", CheckState::Warn, limit + "; a buffer needs up to 2 (log in again after the fix)",
          "echo '" + machine.user + " hard nofile 65536' >/etc/security/limits.d/dmabuffs.conf"};
}

/// No fix: no mount needs more, and who sets it takes memory from all.
Check locked_memory(const Machine& machine) {
  if (machine.memlock_limit == RLIM_INFINITY) return {"memlock", CheckState::Ok, "no limit", ""};
  return {"memlock", CheckState::Ok,
          size_text(machine.memlock_limit) +
              " (ulimit -l): enough for a mount; a program that registers buffers with io_uring or RDMA may "
              "need more: echo '" +
              machine.user + " - memlock unlimited' >/etc/security/limits.d/memlock.conf",
          ""};
}

Check memory(const Machine& machine) {
  const MemoryGauge gauge(machine.root);
  MemoryRoom room = gauge.room();
  if (const uint64_t most = gauge.ram() / 2; most < room.bytes)
    room = {most, "half of RAM, a mount's size unless it has another (-o size=)", ""};
  const std::string detail =
      size_text(room.bytes) + " for new buffers" + (room.why.empty() ? "" : ": " + room.why);
  return {"memory", room.bytes >= kEnoughMemory ? CheckState::Ok : CheckState::Warn, detail, ""};
}

}  // namespace

const char* to_string(CheckState state) {
  switch (state) {
    case CheckState::Ok:
      return "ok";
    case CheckState::Warn:
      return "warn";
    case CheckState::Missing:
      return "missing";
  }
  return "missing";
}

void check_memory(const Machine& machine, std::vector<Check>& checks) {
  checks.push_back(huge_pages(machine));
  checks.push_back(memory(machine));
  checks.push_back(descriptors(machine));
  checks.push_back(locked_memory(machine));
  checks.push_back(io_uring(machine));
  disk_checks(machine, checks);
}

Diagnosis diagnose(const Machine& machine) {
  Diagnosis diagnosis;
  diagnosis.checks.push_back(kernel(machine));
  check_fuse(machine, diagnosis.checks);
  const auto missing = std::find_if(diagnosis.checks.begin(), diagnosis.checks.end(),
                                    [](const Check& check) { return check.state == CheckState::Missing; });
  if (missing != diagnosis.checks.end()) diagnosis.no_mount = missing->detail;
  check_devices(machine, diagnosis);
  check_memory(machine, diagnosis.checks);
  diagnosis.direct = diagnosis.no_mount.empty() &&
                     std::any_of(diagnosis.heaps.begin(), diagnosis.heaps.end(),
                                 [](const HeapReport& heap) { return heap.usable && heap.is_dmabuf; });
  return diagnosis;
}

namespace {

Check device(const Machine& machine) {
  constexpr const char* kNode = "/dev/fuse";
  if (!machine.exists(kNode))
    return absent_node(machine, "fuse", kNode, "misc/fuse", "fuse", "CONFIG_FUSE_FS");
  if (machine.can_open(machine.root + kNode)) return {"fuse", CheckState::Ok, "/dev/fuse can be opened", ""};
  return {"fuse", CheckState::Missing, "/dev/fuse: permission denied (" + ownership(machine, kNode) + ")",
          "chmod 0666 /dev/fuse"};
}

Check helper(const Machine& machine) {
  const CheckState needed = machine.may_mount ? CheckState::Warn : CheckState::Missing;
  const std::string purpose = machine.may_mount ? "auto_unmount needs it" : "ordinary users mount with it";
  for (const char* directory : {"/usr/bin", "/usr/local/bin", "/bin"}) {
    const std::string path = std::string(directory) + "/fusermount3";
    const auto found = machine.attributes(path);
    if (!found) continue;
    if ((found->st_mode & S_ISUID) != 0) return {"fusermount3", CheckState::Ok, path, ""};
    if (machine.may_mount) return {"fusermount3", CheckState::Ok, path + " (not setuid: for root only)", ""};
    return {"fusermount3", needed, std::string(path).append(" is not setuid root: ").append(purpose),
            "chmod u+s " + path};
  }
  const bool debian = machine.exists("/usr/bin/apt-get");
  return {"fusermount3", needed, "not found: " + purpose, debian ? "apt-get install -y fuse3" : ""};
}

Check allow_other(const Machine& machine) {
  if (lets_users_allow_other(machine.text("/etc/fuse.conf").value_or("")))
    return {"allow_other", CheckState::Ok, "for everyone (user_allow_other in /etc/fuse.conf)", ""};
  // No fix: letting users show mounts to others is the administrator's decision.
  return {"allow_other", CheckState::Ok, "for root only (user_allow_other is not in /etc/fuse.conf)", ""};
}

Check passthrough(const Machine& machine) {
  std::string lacks;
  const auto lack = [&lacks](const std::string& what) { lacks += (lacks.empty() ? "" : ", ") + what; };
  if (machine.libfuse < 317)
    lack("libfuse 3.17 (this is " + std::to_string(machine.libfuse / 100) + "." +
         std::to_string(machine.libfuse % 100) + ")");
  if (!machine.kernel_since(6, 9)) lack("Linux 6.9");
  if (!machine.may_mount) lack("CAP_SYS_ADMIN (root)");
  if (lacks.empty())
    return {"passthrough", CheckState::Ok,
            machine.exists("/dev/dmabuf_file")
                ? "memfd buffers are read and written in the kernel, dma-bufs read and mapped"
                : "memfd buffers are read and written in the kernel; dma-bufs can't be mapped without the "
                  "kernel module",
            ""};
  return {"passthrough", CheckState::Warn,
          "reads and writes go through the daemon, nothing can be mapped (MAP_SHARED); passthrough needs " +
              lacks,
          ""};
}

/// What is missing of the `earlier` checks, with its remedy; else what a trial said.
Check mount(const Machine& machine, const std::vector<Check>& earlier) {
  for (const Check& check : earlier)
    if (check.state == CheckState::Missing) return {"mount", check.state, check.detail, check.fix};
  if (!machine.no_mount.empty()) return {"mount", CheckState::Missing, machine.no_mount, ""};
  return {"mount", CheckState::Ok, machine.may_mount ? "allowed" : "allowed, by fusermount3", ""};
}

Check private_mount(const Machine& machine) {
  const std::string use = "`dmabuffs exec` can't be used: ";
  const bool confined =
      !machine.may_mount &&
      machine.number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").value_or(0) != 0;
  // No fix: who restricts them does so for safety.
  if (!machine.no_exec.empty())
    return {"exec", CheckState::Warn,
            use + machine.no_exec +
                (confined ? "; AppArmor restricts user namespaces "
                            "(kernel.apparmor_restrict_unprivileged_userns=1): use `dmabuffs mount`"
                          : ""),
            ""};
  return {"exec", CheckState::Ok, "private mounts can be made", ""};
}

/// What a container lacks is given to it from outside only.
void container(const Machine& machine, std::vector<Check>& checks) {
  if (machine.container.empty()) return;
  // Where /dev/fuse is there and only closed, a line above opens it.
  const bool closed = machine.exists("/dev/fuse") && !machine.can_open(machine.root + "/dev/fuse");
  const bool can = closed || std::none_of(checks.begin(), checks.end(), [](const Check& check) {
                     return check.state == CheckState::Missing;
                   });
  const std::string remedy = machine.container == "chroot"
                                 ? ": bind /dev, /proc and /sys of the host into it"
                                 : ": start it with /dev/fuse and CAP_SYS_ADMIN (docker, podman: --device "
                                   "/dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined)";
  checks.push_back({"container", can ? CheckState::Ok : CheckState::Warn,
                    "this is one (" + machine.container + ")" + (can ? "" : remedy), ""});
}

}  // namespace

void check_fuse(const Machine& machine, std::vector<Check>& checks) {
  checks.push_back(device(machine));
  checks.push_back(helper(machine));
  checks.push_back(allow_other(machine));
  checks.push_back(mount(machine, checks));
  container(machine, checks);
  checks.push_back(private_mount(machine));
  checks.push_back(passthrough(machine));
}

namespace {

constexpr const char* kRules = "/lib/udev/rules.d/60-dmabuffs.rules";

std::string group_name(gid_t gid) {
  const group* entry = ::getgrgid(gid);
  return entry != nullptr ? entry->gr_name : std::to_string(gid);
}

/// One whose devices are chosen from outside of it.
bool is_container(const Machine& machine) {
  return !machine.container.empty() && machine.container != "chroot";
}

/// Its owner and group have no number in this user namespace.
bool is_of_nobody(const Machine& machine, const struct stat& node) {
  return node.st_uid == machine.number("/proc/sys/kernel/overflowuid") &&
         node.st_gid == machine.number("/proc/sys/kernel/overflowgid");
}

/// A line that calls `program`, after one that installs its Debian package where it lacks.
std::string with_program(const Machine& machine, const std::string& program, const std::string& package,
                         const std::string& line) {
  const bool lacks = !machine.exists("/usr/bin/" + program) && !machine.exists("/bin/" + program);
  return (lacks && machine.exists("/usr/bin/apt-get") ? "apt-get install -y " + package + " && " : "") + line;
}

}  // namespace

std::string ownership(const Machine& machine, const std::string& node) {
  const auto info = machine.attributes(node);
  if (!info) return "gone";
  char mode[16];
  std::snprintf(mode, sizeof mode, "%04o", info->st_mode & 07777U);
  return user_name(info->st_uid) + ":" + group_name(info->st_gid) + ", mode " + mode;
}

Check absent_node(const Machine& machine, const std::string& name, const std::string& node,
                  const std::string& sysfs, const std::string& module, const std::string& option) {
  // A node that is made within a container can't be opened: the container's rules for devices are set
  // outside.
  if (is_container(machine) && node != "/dev/fuse")
    return {name, CheckState::Missing,
            node + " is not in this container: start it with the device (docker, podman: --device " + node +
                "), which the host has after `modprobe " + module + "`, if it is a module there",
            ""};
  // The kernel has the device, but this /dev was made without it.
  if (auto number = machine.text("/sys/class/" + sysfs + "/dev")) {
    std::replace(number->begin(), number->end(), ':', ' ');
    const size_t slash = node.rfind('/');
    const std::string directory = slash > 4 ? "mkdir -p " + node.substr(0, slash) + " && " : "";
    return {name, CheckState::Missing, node + " is not in this /dev, though the kernel has the device",
            directory + "mknod -m 0660 " + node + " c " + *number};
  }
  if (machine.has_module(module))
    return {name, CheckState::Missing, node + " is not there: the module is not loaded",
            "modprobe " + module};
  return {name, CheckState::Missing,
          node + " is not there: kernel " + machine.kernel + " is built without " + option +
              "; boot one that has it",
          ""};
}

Check denied_node(const Machine& machine, const std::string& name, const std::string& node) {
  Check check{name, CheckState::Missing, node + ": permission denied (" + ownership(machine, node) + ")", ""};
  const auto info = machine.attributes(node);
  if (!info) return check;
  if (is_of_nobody(machine, *info)) {
    check.detail +=
        "; its group is none in this user namespace: keep the groups of who starts it (podman: --group-add "
        "keep-groups)";
    return check;
  }
  if ((info->st_mode & 0060U) != 0060U || info->st_gid == 0) {
    // udev gives it to the group that its rule names: made before the rule was there, it has none yet.
    const bool ruled = machine.exists(kRules) && machine.exists("/run/udev/control");
    check.fix = ruled
                    ? "udevadm trigger --settle " + node
                    : with_program(machine, "setfacl", "acl", "setfacl -m u:" + machine.user + ":rw " + node);
    return check;
  }
  if (std::find(machine.groups.begin(), machine.groups.end(), info->st_gid) != machine.groups.end())
    check.detail += "; you joined that group after you logged in: log in again";
  else
    check.fix = "usermod -aG " + group_name(info->st_gid) + " " + machine.user;
  return check;
}

namespace {

constexpr uint64_t kEnoughPieces = 1024;  // the kernel's default of list_limit

const std::string kUdmabufNode = "/dev/udmabuf";
const std::string kModuleNode = "/dev/dmabuf_file";
const std::string kParameters = "/sys/module/udmabuf/parameters/";

Check node_check(const Machine& machine, const std::string& name, const std::string& node) {
  if (machine.can_open(machine.root + node)) return {name, CheckState::Ok, node + " can be opened", ""};
  return denied_node(machine, name, node);
}

void udmabuf(const Machine& machine, std::vector<Check>& checks) {
  if (!machine.exists(kUdmabufNode)) {
    checks.push_back(
        absent_node(machine, "udmabuf", kUdmabufNode, "misc/udmabuf", "udmabuf", "CONFIG_UDMABUF"));
    return;
  }
  checks.push_back(node_check(machine, "udmabuf", kUdmabufNode));
  if (const auto limit = machine.number(kParameters + "size_limit_mb")) {
    const uint64_t wanted = MemoryGauge(machine.root).ram() / 2 / kMiB;  // the default size of a mount
    const bool enough = *limit >= wanted;
    checks.push_back({"udmabuf-size", enough ? CheckState::Ok : CheckState::Warn,
                      "a buffer may have up to " + std::to_string(*limit) + " MiB (size_limit_mb)",
                      enough ? "" : "echo " + std::to_string(wanted) + " >" + kParameters + "size_limit_mb"});
  }
  if (const auto limit = machine.number(kParameters + "list_limit")) {
    const bool enough = *limit >= kEnoughPieces;
    checks.push_back(
        {"udmabuf-list", enough ? CheckState::Ok : CheckState::Warn,
         "a buffer may have up to " + std::to_string(*limit) + " parts (list_limit)",
         enough ? "" : "echo " + std::to_string(kEnoughPieces) + " >" + kParameters + "list_limit"});
  }
}

void dma_heaps(const Machine& machine, std::vector<Check>& checks) {
  const std::vector<std::string> nodes = machine.names("/dev/dma_heap");
  for (const std::string& name : nodes)
    checks.push_back(node_check(machine, "dma-heap:" + name, "/dev/dma_heap/" + name));
  if (!nodes.empty()) return;
  const std::vector<std::string> known = machine.names("/sys/class/dma_heap");
  const std::string name = known.empty() ? "system" : known.front();
  checks.push_back(absent_node(machine, "dma-heaps", "/dev/dma_heap/" + name, "dma_heap/" + name,
                               name + "_heap", "CONFIG_DMABUF_HEAPS"));
}

/// Of displays only: other devices' nodes in /dev/dri make no heap, and nobody misses it.
void displays(const Machine& machine, const std::vector<HeapReport>& heaps, std::vector<Check>& checks) {
  for (const std::string& name : machine.names("/dev/dri")) {
    const std::string heap = drm_heap_name(name);
    if (heap.empty()) continue;
    Check check = node_check(machine, heap, "/dev/dri/" + name);
    const bool shown = std::any_of(heaps.begin(), heaps.end(), [&](const auto& h) { return h.name == heap; });
    if (check.state == CheckState::Missing)
      check.state = CheckState::Warn;
    else
      check.detail += shown ? " and makes buffers" : ", but its driver makes no dumb buffers: no heap";
    checks.push_back(std::move(check));
  }
}

/// The heap of contiguous memory has another name on each board, and what a program opens is not always
/// there.
void contiguous(const Machine& machine, const std::string& cma, std::vector<Check>& checks) {
  const std::vector<std::string> nodes = machine.names("/dev/dma_heap");
  if (nodes.empty()) return;
  const std::string kUsual = "linux,cma";
  std::string detail;
  if (!cma.empty())
    detail = "heaps/cma is " + cma +
             (cma == kUsual ? ""
                            : "; a program that looks for the usual name needs a link: ln -s " + cma +
                                  " /dev/dma_heap/" + kUsual);
  else if (std::ranges::find(nodes, "cma") != nodes.end())
    detail = "heaps/cma";
  else
    detail = std::string("no heap of contiguous memory, for devices that no IOMMU serves") +
             (machine.names("/sys/class/iommu").empty() ? " (there is no IOMMU here)" : "") +
             ": cma=256M at boot makes one, if the kernel has CONFIG_DMABUF_HEAPS_CMA";
  checks.push_back({"contiguous", CheckState::Ok, detail, ""});
}

std::string node_of(const Heap& heap) {
  switch (heap.kind()) {
    case HeapKind::Udmabuf:
      return kUdmabufNode;
    case HeapKind::Module:
      return kModuleNode;
    case HeapKind::Drm:
      return "/dev/dri/" + heap.name().substr(heap.name().find('-') + 1);
    default:
      return "/dev/dma_heap/" + heap.name();
  }
}

/// Where DKMS keeps the key it signs modules with: Debian's, Ubuntu's.
constexpr std::array kCertificates{"/var/lib/dkms/mok.pub", "/var/lib/shim-signed/mok/MOK.der"};
const std::string kVariables = "/sys/firmware/efi/efivars/";

/// Whether the kernel loads signed modules only.
bool refuses_unsigned(const Machine& machine) {
  const std::string lockdown = machine.text("/sys/kernel/security/lockdown").value_or("[none]");
  if (lockdown.find("[none]") == std::string::npos) return true;
  if (machine.text("/sys/module/module/parameters/sig_enforce") == "Y") return true;
  // Four bytes of attributes, then the value.
  const auto boot = machine.text(kVariables + "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
  return boot && boot->size() == 5 && boot->back() == 1;
}

/// Of shim's, which keeps the keys that the machine's owner trusts.
bool has_key(const Machine& machine, const std::string& variable, const std::string& key) {
  const auto in = [&](const std::string& path) {
    const auto keys = machine.text(path);
    return keys && !key.empty() && keys->find(key) != std::string::npos;
  };
  return in(kVariables + variable + "-605dab50-e046-4300-abb6-3dd810dd8b23") ||
         in("/sys/firmware/efi/mok-variables/" + variable);
}

/// A module that is built for this kernel, and not loaded.
Check unloaded(const Machine& machine, const std::string& name, const std::string& use) {
  Check check{name, CheckState::Warn, "dmabuf_file is not loaded: " + use, "modprobe dmabuf_file"};
  if (!refuses_unsigned(machine)) return check;
  const auto* const certificate = std::ranges::find_if(
      kCertificates, [&](const std::string& path) { return machine.text(path).has_value(); });
  if (certificate == kCertificates.end()) {
    check.detail += "; Secure Boot takes it only if it is signed (docs/kernel.md)";
    return check;
  }
  const std::string key = *machine.text(*certificate);
  if (has_key(machine, "MokListRT", key)) return check;
  if (has_key(machine, "MokNew", key)) {
    check.detail +=
        "; Secure Boot refuses it until this machine is started again and its key enrolled (Enroll MOK)";
    check.fix.clear();
    return check;
  }
  check.detail +=
      "; Secure Boot refuses it until the key that signed it is enrolled: the fix asks for a password, and "
      "the next start for the same one (Enroll MOK)";
  check.fix = with_program(machine, "mokutil", "mokutil", std::string("mokutil --import ") + *certificate);
  return check;
}

/// A module that DKMS has the sources of, and that is not built for this kernel.
Check unbuilt(const Machine& machine, const std::string& name, const std::string& use) {
  const std::string why = "dmabuf_file is not built for kernel " + machine.kernel + ": " + use;
  if (!machine.kernel_since(6, 12))
    return {name, CheckState::Ok, why + " (it needs Linux 6.12 or later)", ""};
  const std::string build = "dkms autoinstall -k " + machine.kernel;
  if (machine.exists("/lib/modules/" + machine.kernel + "/build"))
    return {name, CheckState::Warn, why, build};
  const std::string headers = "linux-headers-" + machine.kernel;
  if (!machine.exists("/usr/bin/apt-get"))
    return {name, CheckState::Warn, why + "; install its headers, then: " + build, ""};
  return {name, CheckState::Warn, why, "apt-get install -y " + headers + " && " + build};
}

/// Optional: what it makes better works without it.
void kernel_module(const Machine& machine, std::vector<Check>& checks) {
  const std::string name = "kernel-module";
  if (machine.exists(kModuleNode)) {
    Check check = node_check(machine, name, kModuleNode);
    const KernelModule module(machine.root + kModuleNode);
    if (check.state == CheckState::Missing)
      check.state = CheckState::Warn;
    else if (module.is_unfit())
      check = {name, CheckState::Warn, module.why_not(), ""};
    checks.push_back(std::move(check));
  } else {
    const std::string use = "dma-heap buffers are copied by way of bounce memory";
    if (machine.has_module("dmabuf_file"))
      checks.push_back(unloaded(machine, name, use));
    else if (machine.exists("/var/lib/dkms/dmabuf_file"))
      checks.push_back(unbuilt(machine, name, use));
    else
      checks.push_back({name, CheckState::Ok,
                        "dmabuf_file is not installed, nor has it to be: " + use +
                            " (docs/kernel.md tells how to build it)",
                        ""});
  }
}

/// Whether the module reaches the pages of its buffers (kernel/pages.c).
bool module_knows(const Heap& heap, const Machine& machine) {
  if (heap.kind() == HeapKind::DmaHeap) return heap.name() == "system";
  if (heap.kind() != HeapKind::Drm) return true;
  const std::string card = heap.name().substr(heap.name().find('-') + 1);
  std::error_code none;
  const auto driver =
      std::filesystem::read_symlink(machine.root + "/sys/class/drm/" + card + "/device/driver", none);
#ifdef __x86_64__
  return driver.filename().string().starts_with("virtio");  // virtio_gpu, or virtio-pci below it
#else
  return false;
#endif
}

/// What the mount itself would find and say, so that the answers can't differ.
std::vector<HeapReport> heaps(const Machine& machine, std::string& cma) {
  Budget budget({});
  auto registry = HeapRegistry::make(budget, {}, HeapPlaces{machine.root + "/dev", machine.root + "/sys"});
  std::vector<HeapReport> reports;
  const bool module = machine.exists(kModuleNode) && machine.can_open(machine.root + kModuleNode) &&
                      KernelModule(machine.root + kModuleNode).can_transfer();
  if (!registry) return reports;
  cma = (*registry)->cma();
  for (const auto& heap : (*registry)->scan()) {
    HeapReport report{heap->name(), to_string(heap->kind()), heap->is_dmabuf(), true, "", ""};
    const std::string node = node_of(*heap);
    if (report.is_dmabuf && !machine.can_open(machine.root + node)) {
      report.usable = false;
      report.reason = node + ": permission denied";
    } else {
      report.reason = heap->not_pinnable_reason();
      Situation aligned;
      aligned.length = kMiB;
      aligned.not_pinnable_reason = report.reason;
      const bool by_kernel = module && module_knows(*heap, machine);
      if (by_kernel) aligned.not_by_kernel_reason.clear();
      report.path = to_string(plan(aligned).parts.front().path);
      if (by_kernel) report.reason.clear();
    }
    if (!report.is_dmabuf) report.reason = "ordinary memory, no dma-buf: devices can't import it";
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace

void check_devices(const Machine& machine, Diagnosis& diagnosis) {
  udmabuf(machine, diagnosis.checks);
  dma_heaps(machine, diagnosis.checks);
  std::string cma;
  diagnosis.heaps = heaps(machine, cma);
  contiguous(machine, cma, diagnosis.checks);
  displays(machine, diagnosis.heaps, diagnosis.checks);
  kernel_module(machine, diagnosis.checks);
}

}  // namespace dmabuffs::cli
