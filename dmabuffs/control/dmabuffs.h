/* SPDX-License-Identifier: MIT */
/*
 * libdmabuffs: buffers of a dmabuffs mount by name, for any program that takes a dma-buf's file descriptor.
 *
 *   #include <dmabuffs.h>                         cc prog.c -ldmabuffs; pkg-config knows it as dmabuffs
 *
 *   struct dmabuffs_info info;
 *   int fd = dmabuffs_open("/mnt/buf/heaps/system/frame", 0, &info);
 *   if (fd < 0)
 *     errx(1, "%s", dmabuffs_error());
 *
 * Conventions. What returns an int returns -1 and sets errno on an error; dmabuffs_error() has the sentence
 * for a person then. Every function may be called from any thread. A descriptor that is returned is the
 * caller's, to close(2), and close-on-exec. Strings in structures end with a 0 byte. Nothing is allocated for
 * the caller to free. What is reserved is 0. Functions and structures stay as they are within a major version
 * of the library.
 */
#ifndef DMABUFFS_H
#define DMABUFFS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a buffer is. */
struct dmabuffs_info {
  uint64_t size;     /* bytes of the file */
  uint64_t capacity; /* bytes of the memory, whole pages, as far as mmap(2) may go; see below */
  uint64_t inode;    /* of the dma-buf, as in fdinfo and /sys/kernel/debug/dma_buf/bufinfo; 0 without one */
  uint32_t flags;    /* DMABUFFS_IS_... */
  uint32_t reserved_flags;
  char heap[64];     /* the directory below heaps/ that it lies in */
  char exporter[32]; /* who made the dma-buf: "udmabuf", "system"; empty without one */
  uint64_t reserved[16];
};
/*
 * The capacity is at least the size where there is a descriptor, dmabuffs_open() and dmabuffs_import().
 * dmabuffs_stat() may tell less, also 0: of a file that was only made longer (truncate(1)) the memory is made
 * when it is written or opened so.
 */

/* The memory is a dma-buf. Without it (heap memfd): a memfd, which no device takes. */
#define DMABUFFS_IS_DMABUF 1u
/* Bytes were moved to 4 KiB pages for this call, see DMABUFFS_HUGE. */
#define DMABUFFS_IS_MOVED 2u

/* Flags of dmabuffs_open(). */
/* EOPNOTSUPP instead of a memfd. */
#define DMABUFFS_REQUIRE_DMABUF 1u
/*
 * Huge pages stay what they are. Without it a udmabuf of huge pages is made one of 4 KiB pages before it is
 * handed out for the first time, on kernels (before 7.3) whose udmabuf shows other memory to importers that
 * access huge pages by the CPU (V4L2 drivers on videobuf2-vmalloc). Importers that use DMA alone are right
 * with both.
 */
#define DMABUFFS_HUGE 2u

/*
 * The memory of the buffer at `path`, a file below heaps/ of a mount: its dma-buf. Who may read and write the
 * file gets it; it is opened to find out. What was written to the file so far is in it, and what either side
 * writes the other sees at once. `info` may be NULL.
 *
 * As long as anybody holds the descriptor, a copy of it, a mapping or an import of it, the file keeps this
 * memory: it can't grow beyond the capacity (EBUSY), and the memory counts for the mount though the file be
 * removed.
 *
 * EACCES, EROFS: the file may not be read and written. ENODEV: not in a mount. ENODATA: it is empty, so there
 * is no memory yet. EINVAL: no buffer. EOPNOTSUPP: see DMABUFFS_REQUIRE_DMABUF. ENOTCONN, ETIMEDOUT: the
 * daemon has died, or says nothing.
 */
int dmabuffs_open(const char* path, unsigned int flags, struct dmabuffs_info* info);

/* What is known of the buffer at `path`, which must be readable or writable. Errors as dmabuffs_open(). */
int dmabuffs_stat(const char* path, struct dmabuffs_info* info);

/* Flags of dmabuffs_import(). */
/* The file has mode 0600 instead of 0400. */
#define DMABUFFS_WRITABLE 1u

/*
 * Makes the file `path`, below heaps/import of a mount, of the dma-buf `fd`, whoever made it: reading and
 * writing the file reads and writes it. Its bytes are not copied, its size is fixed, and dmabuffs_open() of
 * the file gives the dma-buf to others. The mount holds it until the file is removed; `fd` stays the
 * caller's. `info` may be NULL.
 *
 * EEXIST: there is such a file. EINVAL: `fd` is no dma-buf, or the path not below heaps/import. EBADF: `fd`
 * is not open. ENOSPC: the caller has too many files or descriptors there. EACCES, EROFS, ENODEV, ENOTCONN,
 * ETIMEDOUT: as dmabuffs_open().
 */
int dmabuffs_import(int fd, const char* path, unsigned int flags, struct dmabuffs_info* info);

/* Flags of dmabuffs_begin_access() and dmabuffs_end_access(). */
#define DMABUFFS_READ 1u
#define DMABUFFS_WRITE 2u

/*
 * Around every access of a mapping by the CPU (DMA_BUF_IOCTL_SYNC, Documentation/driver-api/dma-buf.rst):
 * begin waits for the devices and makes their bytes visible, end makes the CPU's bytes visible to them. Both
 * take the same flags. Of what is no dma-buf: nothing to do, 0.
 */
int dmabuffs_begin_access(int fd, unsigned int flags);
int dmabuffs_end_access(int fd, unsigned int flags);

/* The sentence for the last error of this thread: object, reason and, where there is one, the remedy. */
const char* dmabuffs_error(void);

/* The version of the library, as "1.2.3". */
const char* dmabuffs_version(void);

#ifdef __cplusplus
}
#endif

#endif
