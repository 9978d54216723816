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
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "file.h"
#include "heap.h"

#define DF_FS_MAGIC 0x64627566	/* "dbuf" */

static struct vfsmount *df_mount;
static int df_mount_count;
static struct file_system_type df_fs_type;

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

int df_fs_pin(void)
{
	return simple_pin_fs(&df_fs_type, &df_mount, &df_mount_count);
}

void df_fs_unpin(void)
{
	simple_release_fs(&df_mount, &df_mount_count);
}

bool df_is_open_file(struct file *file)
{
	return file->f_op == &df_file_operations;
}

/* False: a mapping shows what is bound now. With state->lock held for writing. */
static bool df_exchange(struct df_file *state, struct dma_buf *dmabuf)
{
	bool free;

	spin_lock(&state->mapping_lock);
	free = !state->mapping && !state->mapped;
	if (free)
		state->dmabuf = dmabuf;
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

/* With state->lock held for writing; @pages are those of @dmabuf, then of what was bound. */
static int df_bind_locked(struct inode *inode, struct dma_buf *dmabuf, u64 length, bool replace,
			  struct df_pages *pages)
{
	struct df_file *state = df_file_of(inode);

	if (state->dmabuf && !replace)
		return -EBUSY;
	if (state->dmabuf != dmabuf) {
		/* Another BIND came between. */
		if (pages->dmabuf != dmabuf)
			return -EBUSY;
		if (!df_exchange(state, dmabuf))
			return -EBUSY;
		swap(state->pages, *pages);
		inode->i_blocks = df_capacity(state) >> SECTOR_SHIFT;
	}
	i_size_write(inode, length);
	return 0;
}

/* @dmabuf may be NULL, to let go what is bound. */
static int df_bind_to(struct inode *inode, struct dma_buf *dmabuf, u64 length, bool replace)
{
	struct df_file *state = df_file_of(inode);
	struct df_pages pages = {};
	int error;

	if (length > (dmabuf ? dmabuf->size : 0))
		return -EINVAL;
	if (dmabuf && dmabuf != READ_ONCE(state->dmabuf)) {
		error = df_prepare(&pages, dmabuf);
		if (error)
			return error;
	}
	error = down_write_killable(&state->lock);
	if (!error) {
		error = df_bind_locked(inode, dmabuf, length, replace, &pages);
		up_write(&state->lock);
	}
	if (pages.dmabuf) {
		dmabuf = pages.dmabuf;
		df_pages_put(&pages);
		dma_buf_put(dmabuf);
	}
	return error;
}

static struct inode *df_inode_new(bool read_only)
{
	struct df_file *state = kzalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!state)
		return ERR_PTR(-ENOMEM);
	init_rwsem(&state->lock);
	spin_lock_init(&state->mapping_lock);
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
		error = df_bind_to(inode, dmabuf, length, false);
		if (error) {
			iput(inode);
			return ERR_PTR(error);
		}
	}
	/* As for a file that is opened: its last close lets the module go. */
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, df_mount, "dmabuf_file",
				 (flags & O_ACCMODE) | O_LARGEFILE,
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
	error = df_fs_pin();
	if (error)
		return ERR_PTR(error);
	file = df_file_make(dmabuf, length, flags, read_only);
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

/*
 * BIND: what OPEN left unbound gets its dma-buf, or another one.
 */
int df_bind(struct dmabuf_file_bind *arg)
{
	bool replace = arg->flags & DMABUF_FILE_BIND_REPLACE;
	struct dma_buf *dmabuf;
	struct file *file;
	int error = -EINVAL;

	if (arg->flags & ~DMABUF_FILE_BIND_REPLACE || (arg->dmabuf_fd == -1 && !replace))
		return -EINVAL;
	file = fget(arg->file_fd);
	if (!file)
		return -EBADF;
	if (!df_is_open_file(file))
		goto out;
	error = -EBADF;
	if (!(file->f_mode & FMODE_WRITE))
		goto out;
	dmabuf = df_bindable(arg->dmabuf_fd);
	error = PTR_ERR_OR_ZERO(dmabuf);
	if (error)
		goto out;
	error = df_bind_to(file_inode(file), dmabuf, arg->length, replace);
	if (dmabuf)
		dma_buf_put(dmabuf);
out:
	fput(file);
	return error;
}
