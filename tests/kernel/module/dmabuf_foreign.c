// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * For tests: dma-bufs of exporters that nobody has tested, and such as have no
 * pages, or not where they say.  Each kind is a heap in /dev/dma_heap, so that a
 * mount has it, too.
 */
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <uapi/linux/dma-heap.h>

#include "compat.h"

enum vmap_kind { MEMORY, IOMEM, NONE };
enum table_kind { PAGES, NO_PAGES, REVERSED, HALF };

struct kind {
	struct miscdevice misc;
	const char *exporter;
	enum vmap_kind vmap;
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
	unsigned int count;
	struct page *pages[];
};

static void buffer_free(struct buffer *buffer)
{
	unsigned int i;

	for (i = 0; i < buffer->count && buffer->pages[i]; i++)
		__free_page(buffer->pages[i]);
	kvfree(buffer);
}

static struct buffer *buffer_new(const struct kind *kind, unsigned int count)
{
	struct buffer *buffer = kvzalloc(struct_size(buffer, pages, count), GFP_KERNEL);
	unsigned int i;

	if (!buffer)
		return NULL;
	buffer->kind = kind;
	buffer->count = count;
	for (i = 0; i < count; i++) {
		buffer->pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!buffer->pages[i]) {
			buffer_free(buffer);
			return NULL;
		}
	}
	return buffer;
}

static int attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment)
{
	const struct buffer *buffer = dmabuf->priv;

	return buffer->kind->attach_error;
}

static struct sg_table *map(struct dma_buf_attachment *attachment,
			    enum dma_data_direction direction)
{
	const struct buffer *buffer = attachment->dmabuf->priv;
	enum table_kind kind = buffer->kind->table;
	unsigned int count = kind == HALF ? buffer->count / 2 : buffer->count, i;
	struct sg_table *table = kzalloc(sizeof(*table), GFP_KERNEL);
	struct scatterlist *sg;

	if (!table || sg_alloc_table(table, count, GFP_KERNEL)) {
		kfree(table);
		return ERR_PTR(-ENOMEM);
	}
	for_each_sgtable_sg(table, sg, i) {
		struct page *page = buffer->pages[kind == REVERSED ? count - 1 - i : i];

		sg_set_page(sg, kind == NO_PAGES ? NULL : page, PAGE_SIZE, 0);
		sg_dma_address(sg) = page_to_phys(page);
		sg_dma_len(sg) = PAGE_SIZE;
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

	return buffer->kind->access_error;
}

static int end_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	return 0;
}

static int map_user(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	const struct buffer *buffer = dmabuf->priv;
	unsigned long address = vma->vm_start, at = vma->vm_pgoff;
	int error = 0;

	for (; !error && address < vma->vm_end; address += PAGE_SIZE, at++)
		error = remap_pfn_range(vma, address, page_to_pfn(buffer->pages[at]), PAGE_SIZE,
					vma->vm_page_prot);
	return error;
}

static int map_kernel(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct buffer *buffer = dmabuf->priv;
	void *address;

	address = vmap(buffer->pages, buffer->count, VM_MAP, PAGE_KERNEL);
	if (!address)
		return -ENOMEM;
	if (buffer->kind->vmap == IOMEM)
		iosys_map_set_vaddr_iomem(map, (void __iomem __force *)address);
	else
		iosys_map_set_vaddr(map, address);
	return 0;
}

static void unmap_kernel(struct dma_buf *dmabuf, struct iosys_map *map)
{
	vunmap(map->is_iomem ? (void __force *)map->vaddr_iomem : map->vaddr);
}

static void release(struct dma_buf *dmabuf)
{
	buffer_free(dmabuf->priv);
}

#define COMMON_OPERATIONS			\
	.attach = attach,			\
	.map_dma_buf = map,			\
	.unmap_dma_buf = unmap,			\
	.begin_cpu_access = begin_access,	\
	.end_cpu_access = end_access,		\
	.mmap = map_user,			\
	.release = release

static const struct dma_buf_ops buffer_operations = {
	COMMON_OPERATIONS,
	.vmap = map_kernel,
	.vunmap = unmap_kernel,
};

static const struct dma_buf_ops buffer_operations_no_vmap = {
	COMMON_OPERATIONS,
};

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
	info.ops = kind->vmap == NONE ? &buffer_operations_no_vmap : &buffer_operations;
	info.size = (size_t)buffer->count << PAGE_SHIFT;
	info.flags = flags & O_ACCMODE;
	info.priv = buffer;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		buffer_free(buffer);
		return PTR_ERR(dmabuf);
	}
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
	KIND("agree", "foreign", .vmap = MEMORY),
	KIND("reversed", "foreign", .table = REVERSED),
	KIND("iomem", "foreign", .vmap = IOMEM, .table = NO_PAGES),
	KIND("no_vmap", "foreign", .vmap = NONE),
	KIND("no_pages", "foreign", .table = NO_PAGES),
	KIND("no_attach", "foreign", .attach_error = -EBUSY),
	KIND("no_access", "foreign", .access_error = -EIO),
	/* By these names the module goes by the table alone. */
	KIND("system_no_pages", "system", .table = NO_PAGES),
	KIND("system_half", "system", .table = HALF),
	KIND("drm_no_table", "drm", .attach_error = -ENOSYS),
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
