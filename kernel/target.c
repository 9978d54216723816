// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The file or block device at the other end of a transfer: whether it may be used,
 * and what direct I/O on it takes.
 */
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/fileattr.h>
#include <linux/freezer.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/sched/signal.h>
#include <linux/stat.h>

#include "internal.h"

static bool df_overrides_direct(struct file *file, struct inode *inode, bool to_file)
{
	struct df_fileattr attributes = {};

	switch (inode->i_sb->s_magic) {
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
	case HUGETLBFS_MAGIC:
		return true;	/* memory: always a copy */
	case BTRFS_SUPER_MAGIC:
		/* What has checksums must not change while it is written. */
		return to_file && (vfs_fileattr_get(file->f_path.dentry, &attributes) ||
				   !(attributes.flags & FS_NOCOW_FL));
	}
	return false;
}

static int df_ask_alignment(struct df_target *target)
{
	struct file *file = target->file;
	struct kstat stat;
	int error;

	if (S_ISBLK(target->inode->i_mode)) {
		/* vfs_getattr() would ask the file system in which its node is. */
		struct block_device *device = I_BDEV(target->inode);

		target->offset_align = bdev_logical_block_size(device);
		target->memory_align = bdev_dma_alignment(device) + 1;
		return 0;
	}
	error = vfs_getattr(&file->f_path, &stat, STATX_DIOALIGN | STATX_DIO_READ_ALIGN,
			    AT_STATX_DONT_SYNC);
	if (error)
		return error;
	if (stat.result_mask & STATX_DIOALIGN) {
		target->offset_align = stat.dio_offset_align;
		if (!target->to_file && stat.dio_read_offset_align)
			target->offset_align = stat.dio_read_offset_align;
		target->memory_align = stat.dio_mem_align;
	} else if (target->inode == file_inode(file)) {
		target->offset_align = i_blocksize(target->inode);
		target->memory_align = target->offset_align;
	}
	return 0;
}

static int df_find_alignment(struct df_target *target)
{
	struct file *file = target->file;
	int error;

	if (!(file->f_mode & FMODE_CAN_ODIRECT) ||
	    df_overrides_direct(file, target->inode, target->to_file))
		return 0;
	error = df_ask_alignment(target);
	if (error)
		return error;
	/* 0: this file can't, whatever others can.  More than a page: pages may be small. */
	target->direct = is_power_of_2(target->offset_align) && target->offset_align <= PAGE_SIZE &&
			 is_power_of_2(target->memory_align) && target->memory_align <= PAGE_SIZE;
	/* Every bio_vec has to be of whole blocks, so they begin with one. */
	target->memory_align = max(target->memory_align, target->offset_align);
	return 0;
}

/**
 * df_target_get - take a file by its descriptor, and see that it may be used
 * @target: filled
 * @fd: the descriptor
 * @flags: of the ioctl
 *
 * Return: 0 or an error for the caller.
 */
int df_target_get(struct df_target *target, int fd, u32 flags)
{
	struct inode *inode;
	int error = -EINVAL;

	*target = (struct df_target){ .file = fget(fd), .to_file = flags & DMABUF_FILE_TO_FILE };
	if (!target->file)
		return -EBADF;
	inode = file_inode(target->file);
	target->inode = S_ISREG(inode->i_mode) ? d_real_inode(target->file->f_path.dentry) :
						 target->file->f_mapping->host;
	if (!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode))
		goto refuse;
	/*
	 * A FUSE daemon that waits for its own file would wait for ever; and a file
	 * over a dma-buf is no disk.
	 */
	error = -EOPNOTSUPP;
	if (target->inode->i_sb->s_magic == FUSE_SUPER_MAGIC || df_is_open_file(target->file))
		goto refuse;
	error = -EBADF;
	if (!(target->file->f_mode & (target->to_file ? FMODE_WRITE : FMODE_READ)))
		goto refuse;
	if (target->to_file && (target->file->f_flags & O_APPEND))
		goto refuse;
	error = -EPERM;
	if (target->to_file && IS_IMMUTABLE(inode))
		goto refuse;
	error = df_find_alignment(target);
	if (error)
		goto refuse;
	error = -EOPNOTSUPP;
	if ((flags & DMABUF_FILE_REQUIRE_DIRECT) && !target->direct)
		goto refuse;
	return 0;
refuse:
	df_target_put(target);
	return error;
}

void df_target_put(struct df_target *target)
{
	fput(target->file);
}

/**
 * df_target_frozen - wait while the file system of a file to be written is frozen
 * @target: the file
 *
 * vfs_iocb_iter_write() would wait, too, but is deaf to signals then; so all but
 * what a freezer begins just now is waited for here.
 *
 * Return: true when a signal came before it thawed.
 */
bool df_target_frozen(const struct df_target *target)
{
	struct super_block *sb = target->inode->i_sb;

	if (!target->to_file || !S_ISREG(target->inode->i_mode))
		return false;
	while (!sb_start_write_trylock(sb)) {
		schedule_timeout_interruptible(HZ / 10);
		if (signal_pending(current))
			return true;
		try_to_freeze();
	}
	sb_end_write(sb);
	return false;
}
