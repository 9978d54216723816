// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * For tests: dma-bufs of exporters that nobody has tested, and such as call themselves
 * by the name of one that was, and have no pages, or others than these should be.
 * Each kind is a heap in /dev/dma_heap, so that a mount has it, too.
 *
 * The moving kinds do as drivers with memory of their own (TTM): only what somebody
 * has pinned stays where it is.  Parameters: "move", which moves every buffer that may
 * be moved, and says EBUSY if any may not; "unpinned", how many accesses began or
 * ended while nobody had the buffer pinned; "hold", during which accesses of the
 * waiting kind don't begin.
 *
 * Memory that no CPU may touch is exported as by drivers/tee/tee_heap.c.
 */
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <uapi/linux/dma-heap.h>

#include "compat.h"

enum table_kind { PAGES, NO_PAGES, HALF, SHORT_PAGES };

struct kind {
	struct miscdevice misc;
	const char *exporter;
	bool built_in;		/* it seems to be part of the kernel */
	bool moves;
	bool waits;
	bool no_cpu;
	bool gone;		/* whoever touches a mapping gets SIGBUS */
	unsigned int order;	/* of its allocations, without __GFP_COMP */
	enum table_kind table;
	int attach_error;
	int access_error;
};

#define KIND(_name, _exporter, ...)				\
	{							\
		.misc = {					\
			.minor = MISC_DYNAMIC_MINOR,		\
			.name = "dmabuf_foreign_" _name,	\
			.nodename = "dma_heap/" _name,		\
			.fops = &operations,			\
			.mode = 0600,				\
		},						\
		.exporter = (_exporter), __VA_ARGS__		\
	}

struct buffer {
	const struct kind *kind;
	struct list_head entry;	/* in buffers */
	struct dma_buf *dmabuf;
	unsigned int pins;	/* with its reservation lock */
	unsigned int count;	/* whole allocations */
	struct page *pages[];
};

static DEFINE_MUTEX(buffers_lock);
static LIST_HEAD(buffers);

static unsigned int unpinned;
module_param(unpinned, uint, 0444);
static bool hold;
module_param(hold, bool, 0644);

static void pages_free(const struct buffer *buffer, struct page **pages)
{
	unsigned int i;

	for (i = 0; i < buffer->count && pages[i]; i += 1 << buffer->kind->order)
		__free_pages(pages[i], buffer->kind->order);
}

static int pages_new(const struct buffer *buffer, struct page **pages)
{
	unsigned int i, order = buffer->kind->order;

	memset(pages, 0, buffer->count * sizeof(*pages));
	for (i = 0; i < buffer->count; i++) {
		if (IS_ALIGNED(i, 1 << order))
			pages[i] = alloc_pages(GFP_KERNEL | __GFP_ZERO, order);
		else
			pages[i] = pages[i - 1] + 1;
		if (!pages[i]) {
			pages_free(buffer, pages);
			return -ENOMEM;
		}
	}
	return 0;
}

/* With the reservation lock held. */
static int move_one(struct buffer *buffer)
{
	struct page **pages;
	unsigned int i;
	int error;

	if (buffer->pins)
		return -EBUSY;
	pages = kvcalloc(buffer->count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	error = pages_new(buffer, pages);
	for (i = 0; !error && i < buffer->count; i++) {
		copy_highpage(pages[i], buffer->pages[i]);
		clear_highpage(buffer->pages[i]);
		swap(pages[i], buffer->pages[i]);
	}
	if (!error)
		pages_free(buffer, pages);
	kvfree(pages);
	return error;
}

static int move_set(const char *text, const struct kernel_param *parameter)
{
	struct buffer *buffer;
	int error = 0;

	mutex_lock(&buffers_lock);
	list_for_each_entry(buffer, &buffers, entry) {
		if (!buffer->kind->moves)
			continue;
		dma_resv_lock(buffer->dmabuf->resv, NULL);
		error = move_one(buffer) ?: error;
		dma_resv_unlock(buffer->dmabuf->resv);
	}
	mutex_unlock(&buffers_lock);
	return error;
}

static const struct kernel_param_ops move_operations = { .set = move_set };
module_param_cb(move, &move_operations, NULL, 0200);

static int attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment)
{
	const struct buffer *buffer = dmabuf->priv;

	return buffer->kind->attach_error;
}

static int pin(struct dma_buf_attachment *attachment)
{
	struct buffer *buffer = attachment->dmabuf->priv;

	buffer->pins++;
	return 0;
}

static void unpin(struct dma_buf_attachment *attachment)
{
	struct buffer *buffer = attachment->dmabuf->priv;

	buffer->pins--;
}

static struct sg_table *map(struct dma_buf_attachment *attachment,
			    enum dma_data_direction direction)
{
	struct dma_buf *dmabuf = attachment->dmabuf;
	const struct buffer *buffer = dmabuf->priv;
	enum table_kind kind = buffer->kind->table;
	unsigned int count = dmabuf->size >> PAGE_SHIFT, i;
	unsigned int bytes = kind == SHORT_PAGES ? PAGE_SIZE / 2 : PAGE_SIZE;
	struct sg_table *table = kzalloc(sizeof(*table), GFP_KERNEL);
	struct scatterlist *sg;

	if (kind == HALF)
		count /= 2;
	if (kind == SHORT_PAGES)
		count *= 2;
	if (!table || sg_alloc_table(table, count, GFP_KERNEL)) {
		kfree(table);
		return ERR_PTR(-ENOMEM);
	}
	for_each_sgtable_sg(table, sg, i) {
		struct page *page = buffer->pages[kind == SHORT_PAGES ? i / 2 : i];

		sg_set_page(sg, kind == NO_PAGES ? NULL : page, bytes, 0);
		sg_dma_address(sg) = page_to_phys(page);
		sg_dma_len(sg) = bytes;
	}
	return table;
}

static void unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
		  enum dma_data_direction direction)
{
	sg_free_table(table);
	kfree(table);
}

static int begin_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	const struct buffer *buffer = dmabuf->priv;

	unpinned += !READ_ONCE(buffer->pins);
	while (buffer->kind->waits && READ_ONCE(hold))
		if (msleep_interruptible(20))
			return -EINTR;
	return buffer->kind->access_error;
}

static int end_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	const struct buffer *buffer = dmabuf->priv;

	unpinned += !READ_ONCE(buffer->pins);
	return 0;
}

static vm_fault_t fault_gone(struct vm_fault *fault)
{
	return VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct gone_operations = {
	.fault = fault_gone
};

static int map_user(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	const struct buffer *buffer = dmabuf->priv;
	unsigned long address = vma->vm_start, at = vma->vm_pgoff;
	int error = 0;

	if (buffer->kind->gone) {
		vma->vm_ops = &gone_operations;
		return 0;
	}
	for (; !error && address < vma->vm_end; address += PAGE_SIZE, at++)
		error = remap_pfn_range(vma, address, page_to_pfn(buffer->pages[at]), PAGE_SIZE,
					vma->vm_page_prot);
	return error;
}

static int map_kernel(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct buffer *buffer = dmabuf->priv;
	void *address = vmap(buffer->pages, dmabuf->size >> PAGE_SHIFT, VM_MAP, PAGE_KERNEL);

	if (!address)
		return -ENOMEM;
	iosys_map_set_vaddr(map, address);
	return 0;
}

static void unmap_kernel(struct dma_buf *dmabuf, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

static void release(struct dma_buf *dmabuf)
{
	struct buffer *buffer = dmabuf->priv;

	mutex_lock(&buffers_lock);
	list_del(&buffer->entry);
	mutex_unlock(&buffers_lock);
	pages_free(buffer, buffer->pages);
	kvfree(buffer);
}

#define COMMON_OPERATIONS			\
	.attach = attach,			\
	.map_dma_buf = map,			\
	.unmap_dma_buf = unmap,			\
	.begin_cpu_access = begin_access,	\
	.end_cpu_access = end_access,		\
	.mmap = map_user,			\
	.vmap = map_kernel,			\
	.vunmap = unmap_kernel,			\
	.release = release

static const struct dma_buf_ops buffer_operations = {
	COMMON_OPERATIONS,
};

static const struct dma_buf_ops moving_operations = {
	COMMON_OPERATIONS,
	.pin = pin,
	.unpin = unpin,
};

static const struct dma_buf_ops protected_operations = {
	.attach = attach,
	.map_dma_buf = map,
	.unmap_dma_buf = unmap,
	.release = release
};

static const struct dma_buf_ops *operations_of(const struct kind *kind)
{
	if (kind->no_cpu)
		return &protected_operations;
	return kind->moves ? &moving_operations : &buffer_operations;
}

static struct buffer *buffer_new(const struct kind *kind, unsigned int pages)
{
	unsigned int count = ALIGN(pages, 1 << kind->order);
	struct buffer *buffer = kvzalloc(struct_size(buffer, pages, count), GFP_KERNEL);

	if (!buffer)
		return NULL;
	buffer->kind = kind;
	buffer->count = count;
	if (!pages_new(buffer, buffer->pages))
		return buffer;
	kvfree(buffer);
	return NULL;
}

static int export(const struct kind *kind, u64 length, u32 flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	struct buffer *buffer;
	int fd;

	if (!length || length > SZ_256M)
		return -EINVAL;
	buffer = buffer_new(kind, DIV_ROUND_UP(length, PAGE_SIZE));
	if (!buffer)
		return -ENOMEM;
	info.exp_name = kind->exporter;
	info.ops = operations_of(kind);
	info.size = PAGE_ALIGN(length);
	info.flags = flags & O_ACCMODE;
	info.priv = buffer;
	if (kind->built_in)
		info.owner = NULL;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		pages_free(buffer, buffer->pages);
		kvfree(buffer);
		return PTR_ERR(dmabuf);
	}
	buffer->dmabuf = dmabuf;
	mutex_lock(&buffers_lock);
	list_add(&buffer->entry, &buffers);
	mutex_unlock(&buffers_lock);
	fd = dma_buf_fd(dmabuf, flags & O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

static long heap_ioctl(struct file *file, unsigned int command, unsigned long user)
{
	const struct kind *kind = container_of(file->private_data, struct kind, misc);
	struct dma_heap_allocation_data data;
	int fd;

	if (command != DMA_HEAP_IOCTL_ALLOC)
		return -ENOTTY;
	if (copy_from_user(&data, (void __user *)user, sizeof(data)))
		return -EFAULT;
	fd = export(kind, data.len, data.fd_flags);
	if (fd < 0)
		return fd;
	data.fd = fd;
	return copy_to_user((void __user *)user, &data, sizeof(data)) ? -EFAULT : 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = heap_ioctl,
};

static struct kind kinds[] = {
	/* Nothing is wrong with these. */
	KIND("unknown", "foreign"),
	KIND("system_module", "system"),
	KIND("drm_moves", "drm", .moves = true),
	/* By this name, and as parts of the kernel, the module knows them. */
	KIND("system_moves", "system", .built_in = true, .moves = true),
	KIND("system_no_attach", "system", .built_in = true, .attach_error = -EBUSY),
	KIND("system_no_access", "system", .built_in = true, .access_error = -EIO),
	KIND("system_no_pages", "system", .built_in = true, .table = NO_PAGES),
	KIND("system_half", "system", .built_in = true, .table = HALF),
	KIND("system_short_pages", "system", .built_in = true, .table = SHORT_PAGES),
	KIND("system_no_references", "system", .built_in = true, .order = 4),
	/* For what a mount makes of their names. */
	KIND("protected,secure-video", "tee", .no_cpu = true),
	KIND("linux,cma", "cma"),
	KIND("gone", "foreign", .gone = true),
	KIND("udmabuf_waits", "udmabuf", .built_in = true, .waits = true),
};

static int __init foreign_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		int error = misc_register(&kinds[i].misc);

		if (error) {
			while (i--)
				misc_deregister(&kinds[i].misc);
			return error;
		}
	}
	return 0;
}

static void __exit foreign_exit(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		misc_deregister(&kinds[i].misc);
}

module_init(foreign_init);
module_exit(foreign_exit);

MODULE_DESCRIPTION("dma-bufs of unknown exporters, for tests");
MODULE_LICENSE("Dual MIT/GPL");
DF_IMPORT_DMA_BUF;
