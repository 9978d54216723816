// SPDX-License-Identifier: MIT
/// What programs do with a buffer and a video device (V4L2, here vivid's): have a frame captured into it, or
/// have it shown, by its descriptor (V4L2_MEMORY_DMABUF).
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "dmabuffs/base/unique_fd.h"

namespace {

// Of the kernel's drivers/media/test-drivers/vivid/vivid-ctrls.c.
constexpr unsigned kOsdMode = 0x00f0f001, kNoOsd = 2;         // without the time in it each frame is the same
constexpr unsigned kFirstHdmiConnectedTo = 0x00f0f000 + 113;  // a menu whose last entry is the last output
constexpr int kOwnMemory = -1;
constexpr int kPatienceMs = 60'000;

class Device {
 public:
  Device(const char* path, v4l2_buf_type type) : fd_(::open(path, O_RDWR | O_CLOEXEC)), type_(type) {
    if (!fd_) throw std::runtime_error(std::string(path) + ": " + std::strerror(errno));
  }
  void control(unsigned id, int value) const {
    v4l2_control control{id, value};
    call(VIDIOC_S_CTRL, &control, "VIDIOC_S_CTRL");
  }
  [[nodiscard]] int most(unsigned control) const {
    v4l2_queryctrl about{};
    about.id = control;
    call(VIDIOC_QUERYCTRL, &about, "VIDIOC_QUERYCTRL");
    return about.maximum;
  }
  void format(unsigned width, unsigned height) const {
    v4l2_format format{};
    format.type = type_;
    format.fmt.pix.width = width;
    format.fmt.pix.height = height;
    format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
    format.fmt.pix.field = V4L2_FIELD_NONE;
    call(VIDIOC_S_FMT, &format, "VIDIOC_S_FMT");
    if (format.fmt.pix.pixelformat != V4L2_PIX_FMT_YUYV || format.fmt.pix.sizeimage != width * height * 2)
      throw std::runtime_error("VIDIOC_S_FMT: it has no YUYV of that size");
  }
  /// `dmabuf`: the memory of all frames, or kOwnMemory: that of the device.
  void start(int dmabuf) {
    v4l2_requestbuffers request{};
    request.count = 1;  // it makes that as many as it needs
    request.type = type_;
    request.memory = memory_ = dmabuf == kOwnMemory ? V4L2_MEMORY_MMAP : V4L2_MEMORY_DMABUF;
    call(VIDIOC_REQBUFS, &request, "VIDIOC_REQBUFS");
    for (unsigned i = 0; i < request.count; ++i) {
      v4l2_buffer buffer = frame(i);
      call(VIDIOC_QUERYBUF, &buffer, "VIDIOC_QUERYBUF");
      if (dmabuf != kOwnMemory) buffer.m.fd = dmabuf;
      buffer.bytesused = buffer.length;
      call(VIDIOC_QBUF, &buffer, "VIDIOC_QBUF");
    }
    call(VIDIOC_STREAMON, &type_, "VIDIOC_STREAMON");
  }
  [[nodiscard]] v4l2_buffer captured() const {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, kPatienceMs) <= 0) throw std::runtime_error("no frame in a minute");
    v4l2_buffer buffer = frame(0);
    call(VIDIOC_DQBUF, &buffer, "VIDIOC_DQBUF");
    if ((buffer.flags & V4L2_BUF_FLAG_ERROR) != 0 || buffer.bytesused != buffer.length)
      throw std::runtime_error("the frame is marked as bad, or not whole");
    return buffer;
  }
  /// A frame in the device's own memory to the standard output.
  void print(const v4l2_buffer& buffer) const {
    void* memory = ::mmap(nullptr, buffer.length, PROT_READ, MAP_SHARED, fd_.get(), buffer.m.offset);
    if (memory == MAP_FAILED) throw std::runtime_error(std::string("mmap: ") + std::strerror(errno));
    const size_t wrote = std::fwrite(memory, 1, buffer.length, stdout);
    ::munmap(memory, buffer.length);
    if (wrote != buffer.length || std::fflush(stdout) != 0)
      throw std::runtime_error("stdout: not all written");
  }

 private:
  void call(unsigned long request, void* argument, const char* name) const {
    if (::ioctl(fd_.get(), request, argument) != 0)
      throw std::runtime_error(std::string(name) + ": " + std::strerror(errno));
  }
  [[nodiscard]] v4l2_buffer frame(unsigned index) const {
    v4l2_buffer buffer{};
    buffer.index = index;
    buffer.type = type_;
    buffer.memory = memory_;
    return buffer;
  }

  dmabuffs::UniqueFd fd_;
  v4l2_buf_type type_;
  unsigned memory_ = V4L2_MEMORY_MMAP;
};

void capture(Device& input, unsigned width, unsigned height, int dmabuf) {
  input.control(kOsdMode, kNoOsd);
  input.format(width, height);
  input.start(dmabuf);
  const v4l2_buffer frame = input.captured();
  if (dmabuf == kOwnMemory) input.print(frame);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (!(what == "capture" && (argc == 5 || argc == 6)) && !(what == "show" && argc == 7)) {
    std::fputs(
        "usage: v4l2-frame capture WIDTH HEIGHT INPUT [FD]     without FD to the standard output\n"
        "       v4l2-frame show WIDTH HEIGHT INPUT FD OUTPUT   what an input that is connected to it sees, "
        "to stdout\n",
        stderr);
    return 2;
  }
  const auto number = [argv](int i) { return static_cast<unsigned>(std::strtoul(argv[i], nullptr, 10)); };
  const unsigned width = number(2), height = number(3);
  const int dmabuf = argc > 5 ? std::atoi(argv[5]) : kOwnMemory;
  try {
    Device input(argv[4], V4L2_BUF_TYPE_VIDEO_CAPTURE);
    if (what == "capture") {
      capture(input, width, height, dmabuf);
      return 0;
    }
    Device output(argv[6], V4L2_BUF_TYPE_VIDEO_OUTPUT);
    output.format(width, height);
    output.start(dmabuf);
    input.control(kFirstHdmiConnectedTo, input.most(kFirstHdmiConnectedTo));
    capture(input, width, height, kOwnMemory);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "v4l2-frame: %s\n", error.what());
    return 1;
  }
  return 0;
}
