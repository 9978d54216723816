// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * OPEN and BIND: a regular file over a dma-buf, so that what wants a file (FUSE
 * passthrough above all) can have one.  A dma-buf's own inode is neither regular
 * nor can it be opened a second time.
 *
 * Passthrough opens a backing file anew by its path, so all state hangs on the
 * inode, and each open is the same file.
 */
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>

#include "heap.h"

#define DF_FS_MAGIC 0x64627566	/* "dbuf" */

struct df_file {
	/* Of what follows, and of the file's length: written to change that. */
	struct rw_semaphore lock;
	struct dma_buf *dmabuf;		/* NULL: not bound yet */
	struct df_pages pages;
	bool read_only;
};

static struct vfsmount *df_mount;
static int df_mount_count;
static struct file_system_type df_fs_type;

static struct df_file *df_file_of(struct inode *inode)
{
	return inode->i_private;
}

static size_t df_capacity(const struct df_file *state)
{
	return state->dmabuf ? state->dmabuf->size : 0;
}

static void df_zero(struct df_file *state, size_t from, size_t to)
{
	while (from < to) {
		size_t bytes = min_t(size_t, to - from, PAGE_SIZE - offset_in_page(from));

		memzero_page(df_pages_at(&state->pages, from), offset_in_page(from), bytes);
		from += bytes;
		if (IS_ALIGNED(from, SZ_2M))
			cond_resched();
	}
}

/* Copies up to @length bytes; fewer when the caller's memory can't be touched. */
static size_t df_copy(struct df_file *state, size_t offset, size_t length, struct iov_iter *iter,
		      bool into_buffer)
{
	size_t done = 0;

	while (done < length && !fatal_signal_pending(current)) {
		struct page *page = df_pages_at(&state->pages, offset + done);
		size_t in_page = offset_in_page(offset + done);
		size_t bytes = min_t(size_t, length - done, PAGE_SIZE - in_page);
		size_t copied = into_buffer ? copy_page_from_iter(page, in_page, bytes, iter)
					    : copy_page_to_iter(page, in_page, bytes, iter);

		done += copied;
		if (copied < bytes)
			break;
		cond_resched();
	}
	return done;
}

static int df_why_nothing(void)
{
	return fatal_signal_pending(current) ? -EINTR : -EFAULT;
}

static ssize_t df_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct df_file *state = df_file_of(inode);
	loff_t size, at = iocb->ki_pos;
	ssize_t result = 0;
	size_t length;

	if (down_read_killable(&state->lock))
		return -EINTR;
	size = i_size_read(inode);
	if (at >= size || !iov_iter_count(to))
		goto out;
	length = min_t(u64, size - at, iov_iter_count(to));
	result = dma_buf_begin_cpu_access(state->dmabuf, DMA_FROM_DEVICE);
	if (result)
		goto out;
	result = df_copy(state, at, length, to, false) ?: df_why_nothing();
	dma_buf_end_cpu_access(state->dmabuf, DMA_FROM_DEVICE);
	if (result > 0)
		iocb->ki_pos = at + result;
out:
	up_read(&state->lock);
	return result;
}

/* With state->lock held, for writing if the file may grow. */
static ssize_t df_write_locked(struct kiocb *iocb, struct iov_iter *from, bool may_grow)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct df_file *state = df_file_of(inode);
	loff_t at = iocb->ki_pos, size = i_size_read(inode);
	size_t length = iov_iter_count(from);
	ssize_t result;

	if (!may_grow && at + length > size)
		return -EAGAIN;
	if (at >= df_capacity(state))
		return -ENOSPC;
	length = min_t(u64, length, df_capacity(state) - at);
	result = file_update_time(iocb->ki_filp);
	if (result)
		return result;
	result = dma_buf_begin_cpu_access(state->dmabuf, DMA_BIDIRECTIONAL);
	if (result)
		return result;
	if (at > size)
		df_zero(state, size, at);
	result = df_copy(state, at, length, from, true) ?: df_why_nothing();
	if (result > 0) {
		iocb->ki_pos = at + result;
		if (iocb->ki_pos > size)
			i_size_write(inode, iocb->ki_pos);
	}
	dma_buf_end_cpu_access(state->dmabuf, DMA_BIDIRECTIONAL);
	return result;
}

static ssize_t df_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct df_file *state = df_file_of(file_inode(iocb->ki_filp));
	ssize_t result;

	if (down_read_killable(&state->lock))
		return -EINTR;
	result = generic_write_checks(iocb, from);
	if (result > 0)
		result = df_write_locked(iocb, from, false);
	up_read(&state->lock);
	if (result != -EAGAIN)
		return result;
	if (down_write_killable(&state->lock))
		return -EINTR;
	result = generic_write_checks(iocb, from);
	if (result > 0)
		result = df_write_locked(iocb, from, true);
	up_write(&state->lock);
	return result;
}

/*
 * Without the lock: who holds it may fault, and wait for the memory map that we have.
 * A file is bound once and for all.
 */
static int df_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	/* Pairs with df_bind_to(). */
	struct dma_buf *dmabuf = smp_load_acquire(&df_file_of(file_inode(file))->dmabuf);

	return dmabuf ? dma_buf_mmap(dmabuf, vma, vma->vm_pgoff) : -ENODEV;
}

static int df_file_open(struct inode *inode, struct file *file)
{
	/* The owner's capabilities make no writable file of a read-only one. */
	if (df_file_of(inode)->read_only && (file->f_mode & FMODE_WRITE))
		return -EACCES;
	file->f_mode |= FMODE_CAN_ODIRECT;
	return simple_pin_fs(&df_fs_type, &df_mount, &df_mount_count);
}

static int df_file_release(struct inode *inode, struct file *file)
{
	simple_release_fs(&df_mount, &df_mount_count);
	return 0;
}

static const struct file_operations df_file_operations = {
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

static int df_set_length(struct inode *inode, loff_t length)
{
	struct df_file *state = df_file_of(inode);
	loff_t size = i_size_read(inode);
	int error = 0;

	if (length > df_capacity(state))
		return -ENOSPC;
	if (length != size) {
		error = dma_buf_begin_cpu_access(state->dmabuf, DMA_BIDIRECTIONAL);
		if (error)
			return error;
		/* Cut off, too: a mapping shows what lies behind the end. */
		df_zero(state, min(size, length), max(size, length));
		error = dma_buf_end_cpu_access(state->dmabuf, DMA_BIDIRECTIONAL);
	}
	i_size_write(inode, length);
	return error;
}

static int df_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *change)
{
	struct inode *inode = d_inode(dentry);
	struct df_file *state = df_file_of(inode);
	int error = setattr_prepare(idmap, dentry, change);

	if (error)
		return error;
	if (change->ia_valid & ATTR_SIZE) {
		if (state->read_only)
			return -EACCES;
		if (down_write_killable(&state->lock))
			return -EINTR;
		error = df_set_length(inode, change->ia_size);
		up_write(&state->lock);
		if (error)
			return error;
	}
	setattr_copy(idmap, inode, change);
	return 0;
}

static const struct inode_operations df_inode_operations = {
	.setattr = df_setattr,
	.getattr = simple_getattr,
};

static void df_state_free(struct df_file *state)
{
	if (state->dmabuf) {
		df_pages_put(&state->pages);
		dma_buf_put(state->dmabuf);
	}
	kfree(state);
}

static void df_evict_inode(struct inode *inode)
{
	clear_inode(inode);
	if (df_file_of(inode))
		df_state_free(df_file_of(inode));
}

static const struct super_operations df_super_operations = {
	.evict_inode = df_evict_inode,
	.statfs = simple_statfs,
	.drop_inode = df_drop_inode,
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
 * to this module, which outlasts the last call into it; an inode that something
 * else holds (inotify) goes with the superblock.
 */
static struct file_system_type df_fs_type = {
	.owner = THIS_MODULE,
	.name = "dmabuf_file",
	.init_fs_context = df_init_fs_context,
	.kill_sb = kill_anon_super,
};

bool df_is_open_file(struct file *file)
{
	return file->f_op == &df_file_operations;
}

/* Takes the reference to the dma-buf, or with an error leaves it. */
static int df_bind_to(struct inode *inode, struct dma_buf *dmabuf, u64 length)
{
	struct df_file *state = df_file_of(inode);
	int error = -EBUSY;

	if (length > dmabuf->size)
		return -EINVAL;
	if (down_write_killable(&state->lock))
		return -EINTR;
	if (!state->dmabuf) {
		error = df_pages_get(&state->pages, dmabuf) ?: df_pages_index(&state->pages);
		if (error) {
			df_pages_put(&state->pages);
		} else {
			i_size_write(inode, length);
			inode->i_blocks = dmabuf->size >> SECTOR_SHIFT;
			/* Pairs with df_file_mmap(). */
			smp_store_release(&state->dmabuf, dmabuf);
		}
	}
	up_write(&state->lock);
	return error;
}

static struct inode *df_inode_new(bool read_only)
{
	struct df_file *state = kzalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!state)
		return ERR_PTR(-ENOMEM);
	init_rwsem(&state->lock);
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
	inode->i_op = &df_inode_operations;
	inode->i_fop = &df_file_operations;
	inode->i_private = state;
	simple_inode_init_ts(inode);
	return inode;
}

/* With the file system pinned for the file that is made. */
static struct file *df_file_make(struct dma_buf *dmabuf, u64 length, u32 flags, bool read_only)
{
	struct inode *inode = df_inode_new(read_only);
	struct file *file;
	int error;

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	if (dmabuf) {
		error = df_bind_to(inode, dmabuf, length);
		if (error) {
			iput(inode);
			return ERR_PTR(error);
		}
		get_dma_buf(dmabuf);
	}
	/* As for a file that is opened: its last close lets the module go. */
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, df_mount, "dmabuf_file", flags & O_ACCMODE,
				 &df_file_operations);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
	} else {
		file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE | FMODE_CAN_ODIRECT;
	}
	return file;
}

static struct file *df_file_new(struct dma_buf *dmabuf, u64 length, u32 flags)
{
	bool read_only = dmabuf && !(dmabuf->file->f_mode & FMODE_WRITE);
	struct file *file;
	int error;

	if (read_only && (flags & O_ACCMODE) != O_RDONLY)
		return ERR_PTR(-EACCES);
	/* What was asked for reading stays so, whoever opens it by its path. */
	read_only |= dmabuf && (flags & O_ACCMODE) == O_RDONLY;
	error = simple_pin_fs(&df_fs_type, &df_mount, &df_mount_count);
	if (error)
		return ERR_PTR(error);
	file = df_file_make(dmabuf, length, flags, read_only);
	if (IS_ERR(file))
		simple_release_fs(&df_mount, &df_mount_count);
	return file;
}

/*
 * OPEN: an inode of its own, and a descriptor of it.
 */
int df_open(struct dmabuf_file_open *arg, struct df_new *new)
{
	struct dma_buf *dmabuf = NULL;
	struct file *file;
	int made;

	arg->file_fd = -1;
	if (!df_fd_flags_valid(arg->fd_flags) || (arg->dmabuf_fd == -1 && arg->length))
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
	file = df_file_new(dmabuf, arg->length, arg->fd_flags);
	if (dmabuf)
		dma_buf_put(dmabuf);
	if (IS_ERR(file))
		return PTR_ERR(file);
	made = df_new_descriptor(new, file, arg->fd_flags);
	if (made < 0)
		return made;
	arg->file_fd = made;
	return 0;
}

/*
 * BIND: what OPEN left unbound gets its dma-buf, once and for all.
 */
int df_bind(struct dmabuf_file_bind *arg)
{
	struct dma_buf *dmabuf;
	struct file *file;
	int error = -EINVAL;

	if (arg->flags)
		return -EINVAL;
	file = fget(arg->file_fd);
	if (!file)
		return -EBADF;
	if (!df_is_open_file(file))
		goto out;
	error = -EBADF;
	if (!(file->f_mode & FMODE_WRITE))
		goto out;
	dmabuf = dma_buf_get(arg->dmabuf_fd);
	error = PTR_ERR_OR_ZERO(dmabuf);
	if (error)
		goto out;
	error = -EBADF;
	if ((dmabuf->file->f_mode & (FMODE_READ | FMODE_WRITE)) == (FMODE_READ | FMODE_WRITE))
		error = df_bind_to(file_inode(file), dmabuf, arg->length);
	if (error)
		dma_buf_put(dmabuf);
out:
	fput(file);
	return error;
}
