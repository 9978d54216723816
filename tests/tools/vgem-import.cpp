// SPDX-License-Identifier: MIT
/// Imports the dma-buf that is its descriptor 3 into vgem (PRIME) and closes the descriptor: from then on the
/// driver alone holds it. Then obeys the standard input, with a mapping made by way of the driver each time:
/// "write TEXT" writes it at the start, "read N" says the first N bytes.
#include <libdrm/drm.h>
#include <libdrm/drm_mode.h>

#include <iostream>

#include "foreign_dmabuf.h"
#include "vgem_fence.h"

using namespace dmabuffs;

namespace {

class Imported {
 public:
  static Result<Imported> from(UniqueFd dmabuf) {
    const off_t size = ::lseek(dmabuf.get(), 0, SEEK_END);
    Imported made;
    made.card_ = TRY(vgem::open_card());
    drm_prime_handle prime{0, 0, dmabuf.get()};
    if (size <= 0 || ::ioctl(made.card_.get(), DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) != 0)
      return fail_errno(errno, "PRIME_FD_TO_HANDLE");
    made.handle_ = prime.handle;
    made.size_ = static_cast<size_t>(size);
    return made;
  }

  /// As drivers do for what they have imported, vgem maps by the exporter's own operation.
  [[nodiscard]] Result<Mapping> map() const {
    drm_prime_handle prime{handle_, DRM_CLOEXEC | DRM_RDWR, -1};
    if (::ioctl(card_.get(), DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) != 0)
      return fail_errno(errno, "PRIME_HANDLE_TO_FD");
    const UniqueFd again(prime.fd);
    return Mapping::of_file(again.get(), 0, size_, PROT_READ | PROT_WRITE);
  }

 private:
  UniqueFd card_;
  uint32_t handle_ = 0;
  size_t size_ = 0;
};

}  // namespace

int main() {
  constexpr int kHandedOut = 3;
  const auto imported = Imported::from(UniqueFd(kHandedOut));
  if (!imported) return foreign::trouble("vgem-import", imported.error().message);
  std::cout << "imported" << std::endl;
  for (std::string word, what; std::cin >> word >> what;) {
    const auto mapping = imported->map();
    if (!mapping) return foreign::trouble("vgem-import", mapping.error().message);
    auto* bytes = reinterpret_cast<char*>(mapping->data());
    if (word == "write")
      std::cout << "wrote " << what.copy(bytes, what.size()) << std::endl;
    else
      std::cout << std::string(bytes, std::stoul(what)) << std::endl;
  }
  return 0;
}
