// SPDX-License-Identifier: MIT
/// What a mount needs: /dev/fuse, fusermount3, and what passthrough needs.
#include <algorithm>

#include "dmabuffs/cli/doctor/checks.h"
#include "dmabuffs/cli/doctor/node.h"
#include "dmabuffs/cli/mount/mountpoint.h"

namespace dmabuffs::cli {

namespace {

Check helper(const Machine& machine) {
  const CheckState needed = machine.may_mount ? CheckState::Warn : CheckState::Missing;
  const std::string purpose = machine.may_mount ? "auto_unmount needs it" : "ordinary users mount with it";
  for (const char* directory : {"/usr/bin", "/usr/local/bin", "/bin"}) {
    const std::string path = std::string(directory) + "/fusermount3";
    const auto found = machine.attributes(path);
    if (!found) continue;
    const bool setuid = (found->st_mode & S_ISUID) != 0;
    if (!setuid && !machine.may_mount)
      return {"fusermount3", needed, std::string(path).append(" is not setuid root: ").append(purpose),
              "chmod u+s " + path};
    if (!machine.exists("/etc/mtab"))
      return {"fusermount3", CheckState::Warn,
              path + " unmounts nothing without /etc/mtab: a mount whose daemon died stays",
              "ln -sf ../proc/self/mounts /etc/mtab"};
    return {"fusermount3", CheckState::Ok, path + (setuid ? "" : " (not setuid: for root only)"), ""};
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
  if (!machine.may_pass_through) lack("CAP_SYS_ADMIN (root) outside of user namespaces");
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
  const bool closed = machine.exists("/dev/fuse") && std::ranges::any_of(checks, [](const Check& check) {
                        return check.name == "fuse" && !check.fix.empty();
                      });
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
  checks.push_back(device_check(machine, {"fuse", "/dev/fuse", "misc/fuse", "fuse", "CONFIG_FUSE_FS"}));
  checks.push_back(helper(machine));
  checks.push_back(allow_other(machine));
  checks.push_back(mount(machine, checks));
  container(machine, checks);
  checks.push_back(private_mount(machine));
  checks.push_back(passthrough(machine));
}

}  // namespace dmabuffs::cli
