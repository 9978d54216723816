// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What other drivers and mmap(2) see of a buffer: the dma_buf_ops.  Its memory is
 * ordinary cached memory, so a CPU's accesses are bracketed by cache maintenance
 * for the devices that have it mapped, where these need that.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "heap.h"

struct df_attachment {
	struct list_head entry;		/* in df_buffer.attachments */
	struct device *device;
	struct sg_table table;
	bool mapped;
};

static int df_table_make(struct sg_table *table, struct df_buffer *buffer)
{
	struct scatterlist *sg;
	size_t offset, bytes;
	unsigned int count = 0;
	int error;

	for (offset = 0; offset < buffer->size; offset += bytes, count++) {
		df_buffer_page(buffer, offset, &bytes);
		cond_resched();
	}
	error = sg_alloc_table(table, count, GFP_KERNEL);
	if (error)
		return error;
	sg = table->sgl;
	for (offset = 0; offset < buffer->size; offset += bytes, sg = sg_next(sg)) {
		struct page *page = df_buffer_page(buffer, offset, &bytes);

		sg_set_page(sg, page, bytes, 0);
		cond_resched();
	}
	return 0;
}

static int df_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct df_buffer *buffer = dmabuf->priv;
	struct df_attachment *attachment = kzalloc(sizeof(*attachment), GFP_KERNEL);
	int error;

	if (!attachment)
		return -ENOMEM;
	error = df_table_make(&attachment->table, buffer);
	if (error) {
		kfree(attachment);
		return error;
	}
	attachment->device = attach->dev;
	attach->priv = attachment;
	mutex_lock(&buffer->lock);
	list_add(&attachment->entry, &buffer->attachments);
	mutex_unlock(&buffer->lock);
	return 0;
}

static void df_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct df_buffer *buffer = dmabuf->priv;
	struct df_attachment *attachment = attach->priv;

	mutex_lock(&buffer->lock);
	list_del(&attachment->entry);
	mutex_unlock(&buffer->lock);
	sg_free_table(&attachment->table);
	kfree(attachment);
}

static struct sg_table *df_map(struct dma_buf_attachment *attach, enum dma_data_direction direction)
{
	struct df_attachment *attachment = attach->priv;
	struct df_buffer *buffer = attach->dmabuf->priv;
	int error;

	mutex_lock(&buffer->lock);
	error = dma_map_sgtable(attach->dev, &attachment->table, direction, 0);
	attachment->mapped = !error;
	mutex_unlock(&buffer->lock);
	if (error)
		return ERR_PTR(error);
	return &attachment->table;
}

static void df_unmap(struct dma_buf_attachment *attach, struct sg_table *table,
		     enum dma_data_direction direction)
{
	struct df_attachment *attachment = attach->priv;

	struct df_buffer *buffer = attach->dmabuf->priv;

	mutex_lock(&buffer->lock);
	attachment->mapped = false;
	dma_unmap_sgtable(attach->dev, table, direction, 0);
	mutex_unlock(&buffer->lock);
}

static int df_begin_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct df_buffer *buffer = dmabuf->priv;
	struct df_attachment *attachment;

	mutex_lock(&buffer->lock);
	if (buffer->vaddr)
		invalidate_kernel_vmap_range(buffer->vaddr, buffer->size);
	list_for_each_entry(attachment, &buffer->attachments, entry)
		if (attachment->mapped)
			dma_sync_sgtable_for_cpu(attachment->device, &attachment->table, direction);
	mutex_unlock(&buffer->lock);
	return 0;
}

static int df_end_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct df_buffer *buffer = dmabuf->priv;
	struct df_attachment *attachment;

	mutex_lock(&buffer->lock);
	if (buffer->vaddr)
		flush_kernel_vmap_range(buffer->vaddr, buffer->size);
	list_for_each_entry(attachment, &buffer->attachments, entry)
		if (attachment->mapped)
			dma_sync_sgtable_for_device(attachment->device, &attachment->table,
						    direction);
	mutex_unlock(&buffer->lock);
	return 0;
}

/*
 * Page frames, not pages: nobody can pin what is mapped here beyond the buffer's
 * life.
 */
static int df_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct df_buffer *buffer = dmabuf->priv;
	unsigned long address = vma->vm_start;
	size_t offset = (size_t)vma->vm_pgoff << PAGE_SHIFT;

	/* A private mapping's copies can't be told from scattered frames. */
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		return -EINVAL;
	while (address < vma->vm_end) {
		size_t bytes;
		struct page *page = df_buffer_page(buffer, offset, &bytes);
		int error;

		bytes = min_t(size_t, bytes, vma->vm_end - address);
		error = remap_pfn_range(vma, address, page_to_pfn(page), bytes, vma->vm_page_prot);
		if (error)
			return error;
		address += bytes;
		offset += bytes;
		cond_resched();
	}
	return 0;
}

static int df_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct df_buffer *buffer = dmabuf->priv;
	size_t count = buffer->size >> PAGE_SHIFT, i, bytes;
	struct page **pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	void *vaddr;

	if (!pages)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		pages[i] = df_buffer_page(buffer, i << PAGE_SHIFT, &bytes);
		cond_resched();
	}
	vaddr = vmap(pages, count, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	if (!vaddr)
		return -ENOMEM;
	mutex_lock(&buffer->lock);
	buffer->vaddr = vaddr;
	mutex_unlock(&buffer->lock);
	iosys_map_set_vaddr(map, vaddr);
	return 0;
}

static void df_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct df_buffer *buffer = dmabuf->priv;

	mutex_lock(&buffer->lock);
	buffer->vaddr = NULL;
	mutex_unlock(&buffer->lock);
	vunmap(map->vaddr);
}

static void df_release(struct dma_buf *dmabuf)
{
	df_buffer_free(dmabuf->priv);
}

static const struct dma_buf_ops df_buf_ops = {
	.attach = df_attach,
	.detach = df_detach,
	.map_dma_buf = df_map,
	.unmap_dma_buf = df_unmap,
	.begin_cpu_access = df_begin_cpu_access,
	.end_cpu_access = df_end_cpu_access,
	.mmap = df_mmap,
	.vmap = df_vmap,
	.vunmap = df_vunmap,
	.release = df_release,
};

/**
 * df_buffer_of - our buffer behind a dma-buf
 * @dmabuf: anybody's
 *
 * Return: NULL if another exporter made it.
 */
struct df_buffer *df_buffer_of(struct dma_buf *dmabuf)
{
	return dmabuf->ops == &df_buf_ops ? dmabuf->priv : NULL;
}

/**
 * df_buffer_export - make a dma-buf of a buffer
 * @buffer: with all its memory; freed with the dma-buf, or when this fails
 * @fd_flags: of the descriptor
 * @new: filled
 * @fd: out: the descriptor
 *
 * Return: 0 or an error.
 */
int df_buffer_export(struct df_buffer *buffer, u32 fd_flags, struct df_new *new, s32 *fd)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;

	info.ops = &df_buf_ops;
	info.size = buffer->size;
	info.flags = fd_flags & O_ACCMODE;
	info.priv = buffer;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		df_buffer_free(buffer);
		return PTR_ERR(dmabuf);
	}
	return df_new_descriptor(new, dmabuf->file, fd_flags, fd);
}

/*
 * ALLOC: the caller gets zeroes.
 */
int df_alloc(struct dmabuf_file_alloc *arg, struct df_new *new)
{
	struct df_buffer *buffer;
	int error;

	arg->dmabuf_fd = -1;
	if (arg->flags || !df_fd_flags_valid(arg->fd_flags))
		return -EINVAL;
	buffer = df_buffer_new(arg->length);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	error = df_buffer_fill(buffer, 0, buffer->size, __GFP_ZERO);
	if (!error)
		return df_buffer_export(buffer, arg->fd_flags, new, &arg->dmabuf_fd);
	df_buffer_free(buffer);
	return error;
}
