// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * TRANSFER and LOAD: what may be moved where, and what direct I/O on a file takes.
 */
#include <linux/blkdev.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fileattr.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/stat.h>
#include <linux/uaccess.h>

#include "heap.h"

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

/* Takes a file by its descriptor, for fput(), if it may be used. */
static int df_target_get(struct df_target *target, int fd, u32 flags)
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
	fput(target->file);
	return error;
}

/* The segments of an ioctl, which lie within the buffer; for kvfree(). */
static struct dmabuf_file_segment *df_copy_segments(u64 user, u32 count, u64 buffer_size)
{
	struct dmabuf_file_segment *segments;
	u64 total = 0;
	u32 i;

	if (!count || count > DF_MAX_SEGMENTS)
		return ERR_PTR(-EINVAL);
	segments = kvmalloc_array(count, sizeof(*segments), GFP_KERNEL);
	if (!segments)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(segments, u64_to_user_ptr(user), count * sizeof(*segments))) {
		kvfree(segments);
		return ERR_PTR(-EFAULT);
	}
	for (i = 0; i < count; i++) {
		const struct dmabuf_file_segment *segment = &segments[i];
		u64 end;

		if (!segment->length ||
		    check_add_overflow(segment->buffer_offset, segment->length, &end) ||
		    end > buffer_size ||
		    check_add_overflow(segment->file_offset, segment->length, &end) ||
		    end > LLONG_MAX || check_add_overflow(total, segment->length, &total)) {
			kvfree(segments);
			return ERR_PTR(-EINVAL);
		}
	}
	return segments;
}

/* The first @bytes bytes of the segments were written to the buffer. */
static void df_note_written(struct df_pages *pages, const struct dmabuf_file_segment *segments,
			    u64 bytes)
{
	for (; bytes; segments++) {
		u64 part = min(segments->length, bytes);

		df_pages_dirty(pages, segments->buffer_offset, part);
		bytes -= part;
	}
}

static int df_transfer_with(struct dmabuf_file_transfer *arg, struct dma_buf *dmabuf,
			    const struct df_target *target)
{
	/* As for the ioctl DMA_BUF_IOCTL_SYNC: who writes waits for readers, too. */
	enum dma_data_direction access = target->to_file ? DMA_FROM_DEVICE : DMA_BIDIRECTIONAL;
	struct dmabuf_file_segment *segments;
	struct df_pages pages;
	int error, end_error;

	segments = df_copy_segments(arg->segments, arg->segment_count, dmabuf->size);
	if (IS_ERR(segments))
		return PTR_ERR(segments);
	error = df_pages_get(&pages, dmabuf);
	if (error)
		goto out;
	error = df_begin_access(dmabuf, access);
	if (!error) {
		arg->how = pages.own ? DMABUF_FILE_HOW_OWN_PAGES : DMABUF_FILE_HOW_SG;
		error = df_move(&pages, target, segments, arg->segment_count, arg->flags, &arg->how,
				&arg->bytes);
		if (arg->bytes)	/* the next call meets the error again */
			error = 0;
		if (!target->to_file)
			df_note_written(&pages, segments, arg->bytes);
		end_error = dma_buf_end_cpu_access(dmabuf, access);
		error = error ?: end_error;
	}
	df_pages_put(&pages);
out:
	kvfree(segments);
	return error;
}

/* TRANSFER: both ways, between what there is already. */
int df_transfer(struct dmabuf_file_transfer *arg)
{
	struct df_target target;
	struct dma_buf *dmabuf;
	int error;

	arg->how = 0;
	arg->bytes = 0;
	if (arg->flags & ~(DMABUF_FILE_TO_FILE | DMABUF_FILE_REQUIRE_DIRECT))
		return -EINVAL;
	dmabuf = dma_buf_get(arg->dmabuf_fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	error = -EBADF;
	/* The core leaves this to whoever uses the descriptor. */
	if (dmabuf->file->f_mode & (arg->flags & DMABUF_FILE_TO_FILE ? FMODE_READ : FMODE_WRITE)) {
		error = df_target_get(&target, arg->file_fd, arg->flags);
		if (!error) {
			error = df_transfer_with(arg, dmabuf, &target);
			fput(target.file);
		}
	}
	dma_buf_put(dmabuf);
	return error;
}

static int df_compare(const void *a, const void *b)
{
	const struct dmabuf_file_segment *first = a, *second = b;

	if (first->buffer_offset == second->buffer_offset)
		return 0;
	return first->buffer_offset < second->buffer_offset ? -1 : 1;
}

static bool df_overlap(struct dmabuf_file_segment *sorted, u32 count)
{
	u32 i;

	for (i = 1; i < count; i++)
		if (sorted[i - 1].buffer_offset + sorted[i - 1].length > sorted[i].buffer_offset)
			return true;
	return false;
}

/* Whether all can be read directly; known before anything is read for nothing. */
static bool df_aligned(const struct df_target *target, const struct dmabuf_file_segment *segments,
		       u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		if (!IS_ALIGNED(segments[i].file_offset, target->offset_align) ||
		    !IS_ALIGNED(segments[i].length, target->offset_align) ||
		    !IS_ALIGNED(segments[i].buffer_offset, target->memory_align))
			return false;
	return true;
}

/* Every byte but the first @bytes that were read becomes zero, unless it is that already. */
static void df_zero_rest(struct df_buffer *buffer, struct dmabuf_file_segment *segments, u32 count,
			 u64 bytes)
{
	bool dirty = !want_init_on_alloc(GFP_HIGHUSER);
	size_t at = 0;
	u32 i;

	for (i = 0; i < count; i++) {
		u64 counted = min(segments[i].length, bytes);

		/* Reads beyond the one that came short may have run. */
		dirty |= counted < segments[i].length;
		segments[i].length = counted;
		bytes -= counted;
	}
	if (!dirty)
		return;
	sort(segments, count, sizeof(*segments), df_compare, NULL);
	for (i = 0; i < count; i++) {
		df_buffer_zero(buffer, at, segments[i].buffer_offset);
		at = segments[i].buffer_offset + segments[i].length;
	}
	df_buffer_zero(buffer, at, buffer->size);
}

static int df_load_into(struct df_buffer *buffer, const struct df_target *target,
			struct dmabuf_file_load *arg, struct dmabuf_file_segment *segments)
{
	struct df_pages pages = { .own = buffer };
	int error;

	arg->how = DMABUF_FILE_HOW_OWN_PAGES;
	error = df_move(&pages, target, segments, arg->segment_count, arg->flags, &arg->how,
			&arg->bytes);
	/* What no segment touches has to be there, too. */
	error = error ?: df_buffer_fill(buffer, 0, buffer->size, 0);
	if (error)
		return error;
	df_zero_rest(buffer, segments, arg->segment_count, arg->bytes);
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/*
 * LOAD: a buffer that is filled by DMA before anybody can see it.  So its memory need
 * not be zeroed first, and is allocated while what there is of it is read into.  What
 * was not read is zeroed before the buffer is exported.
 */
int df_load(struct dmabuf_file_load *arg, struct df_new *new)
{
	struct dmabuf_file_segment *segments, *sorted = NULL;
	struct df_target target;
	struct df_buffer *buffer;
	int error;

	arg->dmabuf_fd = -1;
	arg->how = 0;
	arg->bytes = 0;
	if ((arg->flags & ~(DMABUF_FILE_REQUIRE_DIRECT | DMABUF_FILE_INTERRUPTIBLE)) ||
	    arg->reserved || !df_fd_flags_valid(arg->fd_flags))
		return -EINVAL;
	segments = df_copy_segments(arg->segments, arg->segment_count, PAGE_ALIGN(arg->length));
	if (IS_ERR(segments))
		return PTR_ERR(segments);
	error = -ENOMEM;
	sorted = kvmemdup(segments, arg->segment_count * sizeof(*segments), GFP_KERNEL);
	if (!sorted)
		goto out;
	sort(sorted, arg->segment_count, sizeof(*sorted), df_compare, NULL);
	error = -EINVAL;
	if (df_overlap(sorted, arg->segment_count))
		goto out;
	error = df_target_get(&target, arg->file_fd, arg->flags);
	if (error)
		goto out;
	target.whole = !(arg->flags & DMABUF_FILE_INTERRUPTIBLE);
	error = -EINVAL;
	if ((arg->flags & DMABUF_FILE_REQUIRE_DIRECT) &&
	    !df_aligned(&target, sorted, arg->segment_count))
		goto put;
	buffer = df_buffer_new(arg->length);
	error = PTR_ERR_OR_ZERO(buffer);
	if (error)
		goto put;
	error = df_load_into(buffer, &target, arg, segments);
	if (error)
		df_buffer_free(buffer);
	else
		error = df_buffer_export(buffer, arg->fd_flags, new, &arg->dmabuf_fd);
put:
	fput(target.file);
out:
	kvfree(sorted);
	kvfree(segments);
	return error;
}
