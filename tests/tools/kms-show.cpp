// SPDX-License-Identifier: MIT
/// Shows the picture in the dma-buf that is its descriptor 3 on a display, as a compositor would:
///   kms-show CARD WIDTH HEIGHT STRIDE FOURCC
/// Says "shown", or why not, and keeps it shown until the standard input ends; each line there shows it anew.
#include <fcntl.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <string>

namespace {

constexpr int kHandedOut = 3;

int trouble(const std::string& what) {
  std::cout << what << ": " << std::strerror(errno) << std::endl;
  return 1;
}

/// The first connected output's mode of that size. False: there is none.
bool find_mode(int card, uint32_t width, uint32_t height, uint32_t& connector, drmModeModeInfo& mode) {
  drmModeResPtr resources = ::drmModeGetResources(card);
  bool found = false;
  for (int c = 0; resources != nullptr && c < resources->count_connectors && !found; ++c) {
    drmModeConnectorPtr output = ::drmModeGetConnector(card, resources->connectors[c]);
    for (int m = 0; output != nullptr && m < output->count_modes && !found; ++m) {
      found = output->modes[m].hdisplay == width && output->modes[m].vdisplay == height;
      mode = output->modes[m];
      connector = output->connector_id;
    }
    ::drmModeFreeConnector(output);
  }
  ::drmModeFreeResources(resources);
  return found;
}

uint32_t first_crtc(int card) {
  drmModeResPtr resources = ::drmModeGetResources(card);
  const uint32_t crtc = resources != nullptr && resources->count_crtcs > 0 ? resources->crtcs[0] : 0;
  ::drmModeFreeResources(resources);
  return crtc;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 || std::strlen(argv[5]) != 4) {
    std::cerr << "kms-show CARD WIDTH HEIGHT STRIDE FOURCC\n";
    return 2;
  }
  const uint32_t width = std::stoul(argv[2]), height = std::stoul(argv[3]);
  uint32_t fourcc = 0;
  std::memcpy(&fourcc, argv[5], sizeof fourcc);
  const int card = ::open(argv[1], O_RDWR | O_CLOEXEC);
  if (card < 0) return trouble(argv[1]);
  if (::drmIsMaster(card) == 0) return trouble("not the display's master");

  uint32_t handles[4] = {}, pitches[4] = {}, offsets[4] = {};
  pitches[0] = std::stoul(argv[4]);
  uint32_t buffer = 0, connector = 0;
  drmModeModeInfo mode{};
  if (::drmPrimeFDToHandle(card, kHandedOut, &handles[0]) != 0) return trouble("drmPrimeFDToHandle");
  ::close(kHandedOut);  // from here on the driver alone holds it
  if (::drmModeAddFB2(card, width, height, fourcc, handles, pitches, offsets, &buffer, 0) != 0)
    return trouble("drmModeAddFB2");
  errno = ENOENT;
  if (!find_mode(card, width, height, connector, mode)) return trouble("no mode of that size");
  if (::drmModeSetCrtc(card, first_crtc(card), buffer, 0, 0, &connector, 1, &mode) != 0)
    return trouble("drmModeSetCrtc");
  std::cout << "shown" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    if (const int failed = ::drmModeDirtyFB(card, buffer, nullptr, 0); failed != 0 && failed != -ENOSYS)
      return trouble("drmModeDirtyFB");
    std::cout << "shown" << std::endl;
  }
  return 0;
}
