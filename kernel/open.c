// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * OPEN and BIND: a regular file over a dma-buf, so that what wants a file (FUSE
 * passthrough above all) can have one, and which dma-buf it shows.  A dma-buf's own
 * inode is neither regular nor can it be opened a second time.
 *
 * Passthrough opens a backing file anew by its path, so all state hangs on the
 * inode, and each open is the same file.
 */
#include <linux/blk_types.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/sched/signal.h>

#include "file.h"
#include "heap.h"

struct df_binding {
	struct dma_buf *dmabuf;		/* NULL: let go what is bound */
	u64 length;			/* out: of the file */
	u32 flags;			/* DMABUF_FILE_BIND_... */
	struct df_pages pages;		/* of @dmabuf, then of what was bound */
	struct df_buffer *tail;		/* out: not needed any more */
};

/* False: a mapping shows what is bound now. With state->lock held for writing. */
static bool df_exchange(struct df_file *state, const struct df_binding *binding)
{
	bool hidden = binding->flags & DMABUF_FILE_BIND_HIDDEN;
	bool changes = state->dmabuf != binding->dmabuf || hidden;
	bool free;

	spin_lock(&state->mapping_lock);
	free = !changes || (!state->mapping && !state->fixed);
	if (free) {
		state->dmabuf = binding->dmabuf;
		state->hidden = hidden;
		state->full = binding->flags & DMABUF_FILE_BIND_FULL;
	} else {
		/* Who is told so keeps to it, though the mmap(2) that is at it may fail. */
		state->fixed = true;
	}
	spin_unlock(&state->mapping_lock);
	return free;
}

/* The pages of what is to be bound, with a reference of their own to it. */
static int df_prepare(struct df_pages *pages, struct dma_buf *dmabuf)
{
	int error = df_pages_get(pages, dmabuf);

	if (error)
		return error;
	error = df_pages_index(pages) ?: df_begin_access(dmabuf, DMA_FROM_DEVICE);
	if (error) {
		df_pages_put(pages);
		return error;
	}
	/* What an exporter makes at the first access is there when several begin one. */
	dma_buf_end_cpu_access(dmabuf, DMA_FROM_DEVICE);
	get_dma_buf(dmabuf);
	return 0;
}

/* Gets the dma-buf the bytes it has to have. With state->lock held for writing. */
static int df_bind_content(struct inode *inode, struct df_binding *binding)
{
	struct df_file *state = df_file_of(inode);
	bool same = state->dmabuf == binding->dmabuf;
	size_t size = i_size_read(inode), zeroed;
	int error;

	if (!(binding->flags & DMABUF_FILE_BIND_KEEP))
		return 0;
	binding->length = max_t(u64, binding->length, size);
	if (binding->length > binding->dmabuf->size) {
		binding->length = size;
		return -ENOSPC;
	}
	zeroed = binding->flags & DMABUF_FILE_BIND_FILLED ? size : binding->length;
	if (same)
		error = df_zero(state, size, zeroed);
	else
		error = df_copy_all(state, size, zeroed, &binding->pages);
	if (error)
		binding->length = size;
	return error;
}

/* With state->lock held for writing. */
static int df_bind_locked(struct inode *inode, struct df_binding *binding)
{
	struct df_file *state = df_file_of(inode);
	bool same = state->dmabuf == binding->dmabuf, was_hidden = state->hidden;
	size_t size = i_size_read(inode);
	int error;

	if (state->dmabuf && !(binding->flags & (DMABUF_FILE_BIND_REPLACE | DMABUF_FILE_BIND_KEEP)))
		return -EBUSY;
	/* Another BIND came between. */
	if (!same && binding->pages.dmabuf != binding->dmabuf)
		return -EBUSY;
	/* Not after all is copied. */
	if (READ_ONCE(state->fixed) && (!same || binding->flags & DMABUF_FILE_BIND_HIDDEN))
		return -EBUSY;
	error = df_bind_content(inode, binding);
	if (!error && same && was_hidden && !(binding->flags & DMABUF_FILE_BIND_HIDDEN))
		error = df_zero(state, binding->length, df_capacity(state));
	if (error)
		return error;
	if (!df_exchange(state, binding))
		return -EBUSY;
	if (!same) {
		swap(state->pages, binding->pages);
		inode->i_blocks = df_capacity(state) >> SECTOR_SHIFT;
	}
	binding->tail = df_tail_take(state);
	if (size != binding->length)
		inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	i_size_write(inode, binding->length);
	return 0;
}

/* df_bind_locked(), while devices leave alone what is read and written. */
static int df_bind_accessed(struct inode *inode, struct df_binding *binding, bool *replaced)
{
	struct df_file *state = df_file_of(inode);
	bool keeps = binding->flags & DMABUF_FILE_BIND_KEEP;
	bool writes = keeps || (binding->dmabuf && READ_ONCE(state->hidden));
	struct dma_buf *old = keeps ? df_access(state, DMA_FROM_DEVICE) : NULL;
	int error;

	*replaced = false;
	if (IS_ERR(old))
		return PTR_ERR(old);
	error = writes ? df_begin_access(binding->dmabuf, DMA_BIDIRECTIONAL) : 0;
	if (error)
		goto out;
	error = down_write_killable(&state->lock);
	if (!error) {
		*replaced = (keeps && state->dmabuf != old) || (!writes && state->hidden &&
								 binding->dmabuf);
		if (!*replaced)
			error = df_bind_locked(inode, binding);
		up_write(&state->lock);
	}
	if (writes)
		dma_buf_end_cpu_access(binding->dmabuf, DMA_BIDIRECTIONAL);
out:
	df_access_end(old, DMA_FROM_DEVICE);
	return error;
}

static int df_bind_to(struct inode *inode, struct df_binding *binding)
{
	struct df_file *state = df_file_of(inode);
	bool replaced;
	int error;

	/* What is to be kept says whether it fits. */
	if (!(binding->flags & DMABUF_FILE_BIND_KEEP) &&
	    binding->length > (binding->dmabuf ? binding->dmabuf->size : 0))
		return -EINVAL;
	do {
		if (binding->dmabuf && !binding->pages.dmabuf &&
		    binding->dmabuf != READ_ONCE(state->dmabuf)) {
			error = df_prepare(&binding->pages, binding->dmabuf);
			if (error)
				return error;
		}
		error = df_bind_accessed(inode, binding, &replaced);
	} while (replaced && !fatal_signal_pending(current));
	if (binding->pages.dmabuf) {
		struct dma_buf *unused = binding->pages.dmabuf;

		df_pages_put(&binding->pages);
		dma_buf_put(unused);
	}
	df_buffer_free(binding->tail);
	return replaced ? -EINTR : error;
}

/* What @fd says is to be bound: NULL for none. */
static struct dma_buf *df_bindable(s32 fd)
{
	struct dma_buf *dmabuf = fd == -1 ? NULL : dma_buf_get(fd);
	const fmode_t both = FMODE_READ | FMODE_WRITE;

	if (!IS_ERR_OR_NULL(dmabuf) && (dmabuf->file->f_mode & both) != both) {
		dma_buf_put(dmabuf);
		return ERR_PTR(-EBADF);
	}
	return dmabuf;
}

static bool df_bind_valid(const struct dmabuf_file_bind *arg)
{
	const u32 needs_one = DMABUF_FILE_BIND_KEEP | DMABUF_FILE_BIND_HIDDEN |
			      DMABUF_FILE_BIND_FULL | DMABUF_FILE_BIND_FILLED;
	const u32 opposite = DMABUF_FILE_BIND_HIDDEN | DMABUF_FILE_BIND_FULL;
	const u32 adding = DMABUF_FILE_BIND_KEEP | DMABUF_FILE_BIND_FILLED;

	if (arg->flags & ~(DMABUF_FILE_BIND_REPLACE | needs_one) ||
	    (arg->flags & opposite) == opposite ||
	    (arg->flags & adding) == DMABUF_FILE_BIND_FILLED)
		return false;
	return arg->dmabuf_fd != -1 ||
	       ((arg->flags & DMABUF_FILE_BIND_REPLACE) && !(arg->flags & needs_one));
}

/*
 * BIND: what OPEN left unbound gets its dma-buf, or another one.
 */
int df_bind(struct dmabuf_file_bind *arg)
{
	struct df_binding binding = { .flags = arg->flags, .length = arg->length };
	struct file *file;
	int error = -EINVAL;

	if (!df_bind_valid(arg))
		return -EINVAL;
	file = fget(arg->file_fd);
	if (!file)
		return -EBADF;
	if (!df_is_open_file(file))
		goto out;
	error = -EBADF;
	if (!(file->f_mode & FMODE_WRITE))
		goto out;
	binding.dmabuf = df_bindable(arg->dmabuf_fd);
	error = PTR_ERR_OR_ZERO(binding.dmabuf);
	if (error)
		goto out;
	error = df_bind_to(file_inode(file), &binding);
	if (binding.dmabuf)
		dma_buf_put(binding.dmabuf);
	if (arg->flags & DMABUF_FILE_BIND_KEEP)
		arg->length = binding.length;
out:
	fput(file);
	return error;
}

/* With the file system pinned for the file that is made. */
static struct file *df_file_make(struct dma_buf *dmabuf, const struct dmabuf_file_open *arg,
				 bool read_only)
{
	struct inode *inode = df_inode_new(arg->room, read_only);
	struct file *file;
	int error;

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	inode->i_op = &df_inode_operations;
	inode->i_fop = &df_file_operations;
	if (dmabuf) {
		struct df_binding binding = { .dmabuf = dmabuf, .length = arg->length };

		error = df_bind_to(inode, &binding);
		if (error) {
			iput(inode);
			return ERR_PTR(error);
		}
	}
	/* As for a file that is opened: its last close lets the module go. */
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, df_fs_mount(), "dmabuf_file",
				 (arg->fd_flags & O_ACCMODE) | O_LARGEFILE,
				 &df_file_operations);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
	} else {
		file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE | FMODE_CAN_ODIRECT;
	}
	return file;
}

static struct file *df_file_new(struct dma_buf *dmabuf, const struct dmabuf_file_open *arg)
{
	bool for_reading = (arg->fd_flags & O_ACCMODE) == O_RDONLY;
	bool read_only = dmabuf && !(dmabuf->file->f_mode & FMODE_WRITE);
	struct file *file;
	int error;

	if (read_only && !for_reading)
		return ERR_PTR(-EACCES);
	/* What was asked for reading stays so, whoever opens it by its path. */
	read_only |= dmabuf && for_reading;
	error = df_fs_pin();
	if (error)
		return ERR_PTR(error);
	file = df_file_make(dmabuf, arg, read_only);
	if (IS_ERR(file))
		df_fs_unpin();
	return file;
}

/*
 * OPEN: an inode of its own, and a descriptor of it.
 */
int df_open(struct dmabuf_file_open *arg, struct df_new *new)
{
	struct dma_buf *dmabuf = NULL;
	struct file *file;

	arg->file_fd = -1;
	if (!df_fd_flags_valid(arg->fd_flags) || (arg->dmabuf_fd == -1 && arg->length) ||
	    (arg->room && (arg->fd_flags & O_ACCMODE) == O_RDONLY))
		return -EINVAL;
	if (arg->dmabuf_fd != -1) {
		dmabuf = dma_buf_get(arg->dmabuf_fd);
		if (IS_ERR(dmabuf))
			return PTR_ERR(dmabuf);
		if (!(dmabuf->file->f_mode & FMODE_READ)) {
			dma_buf_put(dmabuf);
			return -EBADF;
		}
	}
	file = df_file_new(dmabuf, arg);
	if (dmabuf)
		dma_buf_put(dmabuf);
	if (IS_ERR(file))
		return PTR_ERR(file);
	return df_new_descriptor(new, file, arg->fd_flags, &arg->file_fd);
}
