// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The inode of a regular file over a dma-buf, the file system it is in, and where its
 * bytes are.  A dma-buf can't grow, and how large it has to be is known when all is
 * written: until then what is written beyond it is in memory of our own, the tail, which
 * begins where the dma-buf ends.
 */
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "file.h"
#include "heap.h"

#define DF_FS_MAGIC 0x64627566	/* "dbuf" */

static struct vfsmount *df_mount;
static int df_mount_count;

static void df_evict_inode(struct inode *inode)
{
	struct df_file *state = df_file_of(inode);

	clear_inode(inode);
	if (!state)	/* the root's */
		return;
	if (state->dmabuf) {
		df_pages_put(&state->pages);
		dma_buf_put(state->dmabuf);
	}
	df_buffer_free(state->tail);
	kfree(state);
}

static const struct super_operations df_super_operations = {
	.evict_inode = df_evict_inode,
	.statfs = simple_statfs,
};

static int df_init_fs_context(struct fs_context *context)
{
	struct pseudo_fs_context *pseudo = init_pseudo(context, DF_FS_MAGIC);

	if (!pseudo)
		return -ENOMEM;
	pseudo->ops = &df_super_operations;
	return 0;
}

/*
 * Mounted while there are open files, each of which holds the mount twice: by its
 * path, and by simple_pin_fs() until its release.  The superblock has a reference
 * to this module, which outlasts the last call into it.
 */
static struct file_system_type df_fs_type = {
	.owner = THIS_MODULE,
	.name = "dmabuf_file",
	.init_fs_context = df_init_fs_context,
	.kill_sb = kill_anon_super,
};

int df_fs_pin(void)
{
	return simple_pin_fs(&df_fs_type, &df_mount, &df_mount_count);
}

struct vfsmount *df_fs_mount(void)
{
	return df_mount;
}

void df_fs_unpin(void)
{
	simple_release_fs(&df_mount, &df_mount_count);
}

/* With the file system pinned; its operations are the caller's to set. */
struct inode *df_inode_new(u64 room, bool read_only)
{
	struct df_file *state = kzalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!state)
		return ERR_PTR(-ENOMEM);
	init_rwsem(&state->lock);
	spin_lock_init(&state->mapping_lock);
	state->room = room;
	state->read_only = read_only;
	inode = new_inode(df_mount->mnt_sb);
	if (!inode) {
		kfree(state);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | (read_only ? 0400 : 0600);
	inode->i_uid = current_fsuid();
	inode->i_gid = current_fsgid();
	inode->i_private = state;
	simple_inode_init_ts(inode);
	clear_nlink(inode);	/* as a memfd: watches of it end with its last close */
	return inode;
}

/* Up to where there is memory, and room. */
size_t df_reach(const struct df_file *state)
{
	return df_capacity(state) + (state->tail ? min_t(u64, state->tail->size, state->room) : 0);
}

struct page *df_file_page(const struct df_file *state, size_t offset)
{
	size_t capacity = df_capacity(state), bytes;

	if (offset < capacity)
		return df_pages_at(&state->pages, offset);
	return df_buffer_page(state->tail, offset - capacity, &bytes);
}

/* Whether to go on with work that takes long; asked after each page. */
static bool df_may_go_on(size_t at)
{
	if (!IS_ALIGNED(at, SZ_2M))
		return true;
	cond_resched();
	return !fatal_signal_pending(current);
}

/* -EINTR: a fatal signal. */
int df_zero(struct df_file *state, size_t from, size_t to)
{
	size_t capacity = df_capacity(state), start = from;

	while (from < to) {
		size_t bytes = min_t(size_t, to - from, PAGE_SIZE - offset_in_page(from));

		memzero_page(df_file_page(state, from), offset_in_page(from), bytes);
		from += bytes;
		if (!df_may_go_on(from))
			break;
	}
	if (start < min(from, capacity))
		df_pages_dirty(&state->pages, start, min(from, capacity) - start);
	return from < to ? -EINTR : 0;
}

/* Whether there may be anything beyond the dma-buf; then it can't be mapped. */
static bool df_go_beyond(struct df_file *state)
{
	spin_lock(&state->mapping_lock);
	state->beyond = !state->mapping && !state->fixed && !state->full;
	spin_unlock(&state->mapping_lock);
	return state->beyond;
}

/*
 * Memory up to @end, of which what lies before @from alone is worth nothing; or with an
 * error as far as there is some (df_reach()).
 * -ENOSPC: no room; -EBUSY: the dma-buf has to stay; -EFBIG, -ENOMEM, -EINTR.
 */
int df_extend(struct df_file *state, u64 from, u64 end)
{
	u64 capacity = df_capacity(state), wanted = end - capacity;
	int error;

	if (end <= capacity)
		return 0;
	if (!state->room || (from >= capacity && from - capacity >= state->room))
		return -ENOSPC;
	if (READ_ONCE(state->fixed) || READ_ONCE(state->full))
		return -EBUSY;
	if (end > SIZE_MAX - SZ_2M)
		return -EFBIG;
	if (!state->tail)
		state->tail = df_buffer_empty();
	if (!state->tail)
		return -ENOMEM;
	error = df_buffer_grow(state->tail, min(wanted, state->room));
	if (state->tail->size && !df_go_beyond(state)) {
		df_buffer_shrink(state->tail, 0);
		return -EBUSY;
	}
	return error ?: wanted > state->room ? -ENOSPC : 0;
}

/* What was written beyond the dma-buf, for df_buffer_free(); may be NULL. */
struct df_buffer *df_tail_take(struct df_file *state)
{
	struct df_buffer *tail = state->tail;

	state->tail = NULL;
	spin_lock(&state->mapping_lock);
	state->beyond = false;
	spin_unlock(&state->mapping_lock);
	return tail;
}

/* Frees memory beyond the end of the file. */
void df_tail_trim(struct inode *inode)
{
	struct df_file *state = df_file_of(inode);
	size_t size = i_size_read(inode), capacity = df_capacity(state);

	if (!state->tail)
		return;
	if (size > capacity)
		df_buffer_shrink(state->tail, size - capacity);
	else
		df_buffer_free(df_tail_take(state));
}

/* Copies the first @size bytes into another dma-buf, which has zeroes from there to @length. */
int df_copy_all(const struct df_file *state, size_t size, size_t length, struct df_pages *pages)
{
	size_t at;

	for (at = 0; at < length; at += PAGE_SIZE) {
		struct page *page = df_pages_at(pages, at);
		size_t copied = at < size ? min_t(size_t, size - at, PAGE_SIZE) : 0;

		if (copied)
			memcpy_page(page, 0, df_file_page(state, at), 0, copied);
		memzero_page(page, copied, min_t(size_t, length - at, PAGE_SIZE) - copied);
		if (!df_may_go_on(at))
			return -EINTR;
	}
	df_pages_dirty(pages, 0, length);
	return 0;
}
