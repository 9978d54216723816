// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What can be done with a regular file over a dma-buf: read, write, map, set its
 * length.
 */
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "file.h"

/*
 * The dma-buf for a CPU's access, which waits for devices: before state->lock, which
 * who replaces the dma-buf must not wait for.  NULL: not bound.
 */
struct dma_buf *df_access(struct df_file *state, enum dma_data_direction direction)
{
	struct dma_buf *dmabuf;
	int error;

	spin_lock(&state->mapping_lock);
	dmabuf = state->dmabuf;
	if (dmabuf)
		get_dma_buf(dmabuf);
	spin_unlock(&state->mapping_lock);
	if (!dmabuf)
		return NULL;
	error = df_begin_access(dmabuf, direction);
	if (!error)
		return dmabuf;
	dma_buf_put(dmabuf);
	return ERR_PTR(error);
}

void df_access_end(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	if (!dmabuf)
		return;
	dma_buf_end_cpu_access(dmabuf, direction);
	dma_buf_put(dmabuf);
}

/*
 * Copies up to @length bytes; fewer where the caller's memory is not there: a fault
 * may take for ever, and is not for those to wait for that want state->lock.
 */
static size_t df_copy(struct df_file *state, size_t offset, size_t length, struct iov_iter *iter,
		      bool into_buffer, enum df_next *next)
{
	size_t done = 0;

	pagefault_disable();
	while (done < length && *next == DF_DONE) {
		struct page *page = df_file_page(state, offset + done);
		size_t in_page = offset_in_page(offset + done);
		size_t bytes = min_t(size_t, length - done, PAGE_SIZE - in_page);
		size_t copied = into_buffer ? copy_page_from_iter(page, in_page, bytes, iter)
					    : copy_page_to_iter(page, in_page, bytes, iter);

		done += copied;
		if (copied < bytes)
			*next = DF_FAULT;
		else if (fatal_signal_pending(current))
			*next = DF_KILLED;
		cond_resched();
	}
	pagefault_enable();
	if (into_buffer && offset < df_capacity(state))
		df_pages_dirty(&state->pages, offset, min(done, df_capacity(state) - offset));
	return done;
}

/* Whether there is a next part. */
static bool df_goes_on(enum df_next next, struct iov_iter *iter, bool into_buffer)
{
	size_t window = min_t(size_t, iov_iter_count(iter), SZ_1M);
	size_t missing;

	if (next == DF_DONE || next == DF_KILLED || fatal_signal_pending(current))
		return false;
	if (next != DF_FAULT)
		return true;
	missing = into_buffer ? fault_in_iov_iter_readable(iter, window)
			      : fault_in_iov_iter_writeable(iter, window);
	return missing < window;
}

/* Faults that go on although the memory is there (a tag that does not match). */
static bool df_stuck(unsigned int *tries, enum df_next next, ssize_t part)
{
	*tries = next == DF_FAULT && !part ? *tries + 1 : 0;
	return *tries > 8;
}

static ssize_t df_outcome(ssize_t done, ssize_t part, enum df_next next)
{
	if (done)
		return done;
	if (part < 0)
		return part;
	if (next == DF_DONE)
		return 0;
	return next == DF_FAULT ? -EFAULT : -EINTR;
}

/* With state->lock held. */
static ssize_t df_read_locked(struct kiocb *iocb, struct iov_iter *to, struct dma_buf *dmabuf,
			      enum df_next *next)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct df_file *state = df_file_of(inode);
	loff_t size = i_size_read(inode), at = iocb->ki_pos;
	size_t copied;

	if (state->dmabuf != dmabuf) {
		*next = DF_REPLACED;
		return 0;
	}
	if (at >= size || !iov_iter_count(to))
		return 0;
	copied = df_copy(state, at, min_t(u64, size - at, iov_iter_count(to)), to, false, next);
	iocb->ki_pos += copied;
	return copied;
}

static ssize_t df_read_part(struct kiocb *iocb, struct iov_iter *to, enum df_next *next)
{
	struct df_file *state = df_file_of(file_inode(iocb->ki_filp));
	struct dma_buf *dmabuf = df_access(state, DMA_FROM_DEVICE);
	ssize_t result = -EINTR;

	*next = DF_DONE;
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	if (!down_read_killable(&state->lock)) {
		result = df_read_locked(iocb, to, dmabuf, next);
		up_read(&state->lock);
	}
	df_access_end(dmabuf, DMA_FROM_DEVICE);
	return result;
}

static ssize_t df_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	ssize_t part, done = 0;
	unsigned int tries = 0;
	enum df_next next;

	do {
		part = df_read_part(iocb, to, &next);
		done += max(part, 0);
	} while (part >= 0 && !df_stuck(&tries, next, part) && df_goes_on(next, to, false));
	return df_outcome(done, part, next);
}

/* With state->lock held, for writing if the file may grow. */
static ssize_t df_write_locked(struct kiocb *iocb, struct iov_iter *from, struct dma_buf *dmabuf,
			       bool may_grow, enum df_next *next)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct df_file *state = df_file_of(inode);
	loff_t size = i_size_read(inode), at;
	size_t copied = 0;
	ssize_t result;
	u64 end;

	if (state->dmabuf != dmabuf) {
		*next = DF_REPLACED;
		return 0;
	}
	result = generic_write_checks(iocb, from);
	if (result <= 0)
		return result;
	at = iocb->ki_pos;
	end = at + iov_iter_count(from);
	if (!may_grow && end > size) {
		*next = DF_GROW;
		return 0;
	}
	/* Memory for a part at a time: the caller's may end before. */
	end = min_t(u64, end, round_up(at, SZ_2M) + SZ_16M);
	result = end > size ? df_extend(state, at, end) : 0;
	end = min_t(u64, end, df_reach(state));
	if (at < end)
		result = file_update_time(iocb->ki_filp);
	if (!result && at < end && at > size)
		result = df_zero(state, size, at);
	if (!result && at < end) {
		copied = df_copy(state, at, end - at, from, true, next);
		if (copied == end - at && iov_iter_count(from))
			*next = DF_MORE;
	}
	iocb->ki_pos += copied;
	if (copied && iocb->ki_pos > size)
		i_size_write(inode, iocb->ki_pos);
	if (may_grow)
		df_tail_trim(inode);
	return result ?: copied;
}

static ssize_t df_write_part(struct kiocb *iocb, struct iov_iter *from, bool may_grow,
			     enum df_next *next)
{
	struct df_file *state = df_file_of(file_inode(iocb->ki_filp));
	struct dma_buf *dmabuf = df_access(state, DMA_BIDIRECTIONAL);
	ssize_t result = -EINTR;

	*next = DF_DONE;
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	if (!(may_grow ? down_write_killable(&state->lock) : down_read_killable(&state->lock))) {
		result = df_write_locked(iocb, from, dmabuf, may_grow, next);
		if (may_grow)
			up_write(&state->lock);
		else
			up_read(&state->lock);
	}
	df_access_end(dmabuf, DMA_BIDIRECTIONAL);
	return result;
}

static ssize_t df_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	ssize_t part, done = 0;
	bool may_grow = false;
	unsigned int tries = 0;
	enum df_next next;

	/* So that it is written in one part, as a rule, and others see all of it or nothing. */
	fault_in_iov_iter_readable(from, min_t(size_t, iov_iter_count(from), SZ_1M));
	do {
		part = df_write_part(iocb, from, may_grow, &next);
		may_grow |= next == DF_GROW;
		done += max(part, 0);
	} while (part >= 0 && !df_stuck(&tries, next, part) && df_goes_on(next, from, true));
	return df_outcome(done, part, next);
}

static int df_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct df_file *state = df_file_of(file_inode(file));
	struct dma_buf *dmabuf;
	int error;

	spin_lock(&state->mapping_lock);
	dmabuf = state->beyond || state->hidden ? NULL : state->dmabuf;
	if (dmabuf) {
		get_dma_buf(dmabuf);
		state->mapping++;
	}
	spin_unlock(&state->mapping_lock);
	if (!dmabuf)
		return -ENODEV;
	error = dma_buf_mmap(dmabuf, vma, vma->vm_pgoff);
	spin_lock(&state->mapping_lock);
	state->mapping--;
	state->fixed |= !error;
	spin_unlock(&state->mapping_lock);
	dma_buf_put(dmabuf);	/* the mapping has its own */
	return error;
}

static int df_file_open(struct inode *inode, struct file *file)
{
	/* The owner's capabilities make no writable file of a read-only one. */
	if (df_file_of(inode)->read_only && (file->f_mode & FMODE_WRITE))
		return -EACCES;
	file->f_mode |= FMODE_CAN_ODIRECT;
	return df_fs_pin();
}

static int df_file_release(struct inode *inode, struct file *file)
{
	df_fs_unpin();
	return 0;
}

const struct file_operations df_file_operations = {
	.owner = THIS_MODULE,
	.open = df_file_open,
	.release = df_file_release,
	.read_iter = df_read_iter,
	.write_iter = df_write_iter,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.mmap = df_file_mmap,
	.llseek = generic_file_llseek,
	.fsync = noop_fsync,
};

bool df_is_open_file(struct file *file)
{
	return file->f_op == &df_file_operations;
}

/* With state->lock held for writing. */
static int df_length_locked(struct inode *inode, loff_t length, struct dma_buf *dmabuf,
			    enum df_next *next)
{
	struct df_file *state = df_file_of(inode);
	loff_t size = i_size_read(inode);
	int error;

	if (state->dmabuf != dmabuf) {
		*next = DF_REPLACED;
		return -EINTR;
	}
	error = length > size ? df_extend(state, length - 1, length) : 0;
	if (!error && size < length) {
		error = df_zero(state, size, length);
		if (!error)
			i_size_write(inode, length);
	}
	/*
	 * Cut off, too: a mapping shows what lies behind the end.  From the end on, so that
	 * a signal leaves a file that is cut less.
	 */
	while (!error && size > length) {
		loff_t cut = max(length, round_down(size - 1, SZ_2M));

		error = fatal_signal_pending(current) ? -EINTR :
			df_zero(state, cut, min_t(size_t, size, df_capacity(state)));
		if (!error)
			i_size_write(inode, cut);
		size = cut;
	}
	df_tail_trim(inode);
	return error;
}

static int df_set_length(struct inode *inode, loff_t length)
{
	struct df_file *state = df_file_of(inode);
	enum df_next next;
	int error;

	do {
		struct dma_buf *dmabuf = df_access(state, DMA_BIDIRECTIONAL);

		if (IS_ERR(dmabuf))
			return PTR_ERR(dmabuf);
		next = DF_DONE;
		error = down_write_killable(&state->lock);
		if (!error) {
			error = df_length_locked(inode, length, dmabuf, &next);
			up_write(&state->lock);
		}
		df_access_end(dmabuf, DMA_BIDIRECTIONAL);
	} while (next == DF_REPLACED && !fatal_signal_pending(current));
	return error;
}

static int df_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *change)
{
	struct inode *inode = d_inode(dentry);
	int error = setattr_prepare(idmap, dentry, change);

	if (error)
		return error;
	/* Nothing here is ever executed, and a write would have to take them away. */
	if ((change->ia_valid & ATTR_MODE) && (change->ia_mode & (S_ISUID | S_ISGID)))
		return -EPERM;
	if (change->ia_valid & ATTR_SIZE) {
		if (df_file_of(inode)->read_only)
			return -EACCES;
		error = df_set_length(inode, change->ia_size);
		if (error)
			return error;
	}
	setattr_copy(idmap, inode, change);
	return 0;
}

const struct inode_operations df_inode_operations = {
	.setattr = df_setattr,
	.getattr = simple_getattr,
};
