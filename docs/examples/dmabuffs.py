# SPDX-License-Identifier: MIT
"""Buffers of a dmabuffs mount in Python: the dma-buf by its file's name, its bytes as a memoryview.

    from dmabuffs import Buffer

    with Buffer("/run/buf/heaps/system/frame") as buffer:
        device.import_fd(buffer.fd)              # any program that takes a dma-buf
        with buffer.sync(write=True) as memory:  # the CPU's turn
            memory[:4] = b"\\0\\0\\0\\xff"

Needs Python 3.9 and nothing else. The file must be readable and writable, and not empty. pytest finds the fixture
`dmabuffs_mount` where this file is named in `pytest_plugins`; it has no asserts to explain (PYTEST_DONT_REWRITE).
"""

import contextlib
import errno
import fcntl
import json
import mmap
import os
import socket
import struct
import subprocess

TICKET = 0x8010DB01  # _IOR(0xDB, 1, unsigned char[16])
DMA_BUF_IOCTL_SYNC = 0x40086200  # _IOW('b', 0, struct dma_buf_sync)
SYNC_READ, SYNC_WRITE, SYNC_END = 1, 2, 4


def mount_point(path):
    """The directory that the mount of `path` is on."""
    path = os.path.realpath(path)
    device = os.stat(path).st_dev
    if not os.path.isdir(path):
        path = os.path.dirname(path)  # overlayfs has files of another device than their directory
    while path != "/" and os.stat(os.path.dirname(path)).st_dev == device:
        path = os.path.dirname(path)
    return path


class Buffer:
    """The memory of the buffer at `path`. `info` is what the daemon says of it: size, capacity, heap, is_dmabuf, inode,
    exporter. Others that were handed it, and who reads and writes the file, see the same bytes."""

    def __init__(self, path, huge=False):
        """`huge`: leave huge pages as they are (see dmabuffs-exec in dmabuffs(1))."""
        root = mount_point(path)
        try:
            with open(os.path.join(root, "status"), encoding="utf-8") as status:
                address = json.load(status)["socket"]
        except (FileNotFoundError, ValueError):
            raise OSError(errno.ENODEV, "not in a dmabuffs mount", path) from None
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            ticket = fcntl.ioctl(file, TICKET, bytes(16)).hex()
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as daemon:
                daemon.connect(address)
                request = {"op": "descriptor", "file": {"ticket": ticket}, "huge": huge}
                daemon.send(json.dumps(request).encode())
                reply, fds, _, _ = socket.recv_fds(daemon, 65536, 1)
        finally:
            os.close(file)
        self.info = json.loads(reply)
        if not self.info["ok"]:
            raise OSError(getattr(errno, self.info["code"], errno.EIO), self.info["message"])
        self.fd = fds[0]
        os.set_inheritable(self.fd, False)
        self._mapped = None

    @property
    def memory(self):
        """All of it, mapped: not of a heap whose memory no CPU may touch, which can be handed on all the same."""
        if self._mapped is None:
            self._mapped = mmap.mmap(self.fd, self.info["capacity"])
        return self._mapped

    @contextlib.contextmanager
    def sync(self, read=True, write=False):
        """The turn of the CPU: devices are waited for and their bytes are there; at the end ours are there for them.
        Gives the bytes up to the size."""
        how = (SYNC_READ if read else 0) | (SYNC_WRITE if write else 0)
        self._ioctl(how)
        try:
            with memoryview(self.memory) as memory, memory[: self.info["size"]] as part:
                yield part
        finally:
            self._ioctl(how | SYNC_END)

    def _ioctl(self, flags):
        if self.info["is_dmabuf"]:
            fcntl.ioctl(self.fd, DMA_BUF_IOCTL_SYNC, struct.pack("Q", flags))

    def close(self):
        try:
            if self._mapped is not None:
                self._mapped.close()  # BufferError: a memoryview of it is still used
        finally:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def mounted(directory, *options):
    """A mount on `directory` while it lasts."""
    subprocess.run(["dmabuffs", "mount", *options, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["dmabuffs", "umount", directory], check=True)


try:
    import pytest
except ImportError:
    pass
else:

    @pytest.fixture
    def dmabuffs_mount(tmp_path):
        with mounted(str(tmp_path)) as directory:
            yield directory
