/* SPDX-License-Identifier: MIT */
/* Prints what a buffer is, fills it with a byte, and holds it until a key is pressed.
 *   cc -o hold hold.c $(pkg-config --cflags --libs dmabuffs) && ./hold /run/buf/heaps/system/frame
 */
#include <dmabuffs.h>
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	struct dmabuffs_info info;

	if (argc != 2)
		errx(2, "usage: %s BUFFER", argv[0]);
	int fd = dmabuffs_open(argv[1], 0, &info);
	if (fd < 0)
		errx(1, "%s", dmabuffs_error());
	printf("%s: %" PRIu64 " bytes of %s, inode %" PRIu64 "\n", argv[1], info.size,
	       info.flags & DMABUFFS_IS_DMABUF ? info.exporter : "no dma-buf", info.inode);

	void *bytes = mmap(NULL, info.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		err(1, "mmap");
	if (dmabuffs_begin_access(fd, DMABUFFS_WRITE) < 0)
		errx(1, "%s", dmabuffs_error());
	memset(bytes, 'x', info.size);
	if (dmabuffs_end_access(fd, DMABUFFS_WRITE) < 0)
		errx(1, "%s", dmabuffs_error());
	fflush(stdout);
	getchar();
	return 0;
}
