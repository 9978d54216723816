// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The pages of a dma-buf.
 *
 * The documented ways for a CPU are dma_buf_vmap() and mmap(2); an sg_table is
 * made for a device's DMA engine, and what its pages mean is the exporter's
 * affair.  So they are used only of exporters of which it was tested, page by page,
 * on the kernels this module is for (tests/kernel), and only while an attachment
 * holds them: a mapping alone does not keep a buffer where it is.  See docs/kernel.md.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

/*
 * Exporters whose tables name the buffer's pages, in order, of ordinary memory
 * that a CPU sees through its cache as devices do.  By name, since dma_buf_ops are
 * static, and by module, since many drivers are called "drm".  Names are not the
 * user's to choose: exporters are kernel code.
 */
static const struct {
	const char *name;
	const char *module;
} df_exporters[] = {
	{ "system", "kernel" },
	{ "udmabuf", "kernel" },
#ifdef CONFIG_X86
	/* GEM over shmem.  Elsewhere its write-combined mappings pass by the cache. */
	{ "drm", "vgem" },
	{ "virtio_gpu", "virtio_gpu" },
#endif
};

/* What is attached to their buffers.  It does no DMA. */
static struct device *df_root;

static bool df_is_known(const struct dma_buf *dmabuf)
{
	unsigned int i;

	/* With CONFIG_DMABUF_DEBUG importers get no pages in their tables. */
	for (i = 0; i < ARRAY_SIZE(df_exporters) && !IS_ENABLED(CONFIG_DMABUF_DEBUG); i++)
		if (!strcmp(dmabuf->exp_name, df_exporters[i].name) &&
		    !strcmp(module_name(dmabuf->owner), df_exporters[i].module))
			return true;
	return false;
}

/* The page that holds the byte at @offset of the entry, in which pages follow each other. */
static struct page *df_entry_page(struct scatterlist *sg, size_t offset)
{
	return pfn_to_page(page_to_pfn(sg_page(sg)) + (sg->offset + offset) / PAGE_SIZE);
}

/*
 * Memory that the kernel's own mapping shows, and whose pages take references, as
 * file systems do with what they are given: the last one that goes frees a page
 * that had none (the later ones of an allocation without __GFP_COMP).
 */
static bool df_is_memory(struct page *page)
{
	return pfn_valid(page_to_pfn(page)) && !is_zone_device_page(page) && !PageHighMem(page) &&
	       virt_addr_valid(page_address(page)) && sendpage_ok(page);
}

/* Every entry is whole pages of such memory, and together they are the whole buffer. */
static bool df_table_is_memory(struct sg_table *table, size_t size)
{
	struct scatterlist *sg;
	size_t sum = 0, at, bytes;
	unsigned int i;

	for_each_sgtable_sg(table, sg, i) {
		if (!sg_page(sg) || !sg->length || !PAGE_ALIGNED(sg->offset | sg->length))
			return false;
		for (at = 0; at < sg->length; at += bytes) {
			struct page *page = df_entry_page(sg, at);
			struct folio *folio;

			if (!df_is_memory(page))
				return false;
			folio = page_folio(page);
			bytes = folio_size(folio) - folio_page_idx(folio, page) * PAGE_SIZE;
			cond_resched();
		}
		sum += sg->length;
	}
	return sum >= size && PAGE_ALIGNED(size);
}

/* Not by a dynamic attachment: the core pins for this one, for as long as it is mapped. */
static int df_pages_attach(struct df_pages *pages)
{
	struct dma_buf_attachment *attachment;
	struct sg_table *table;

	/* Mappings that bounce (swiotlb=force, encrypted memory) copy old bytes back. */
	if (dma_max_mapping_size(df_root) != SIZE_MAX)
		return -EOPNOTSUPP;
	attachment = dma_buf_attach(pages->dmabuf, df_root);
	if (IS_ERR(attachment))
		return PTR_ERR(attachment);
	pages->attachment = attachment;
	/* Exporters may keep the mapping of an attachment for all directions. */
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	if (IS_ERR(table))
		return PTR_ERR(table);
	pages->table = table;
	return df_table_is_memory(table, pages->dmabuf->size) ? 0 : -EOPNOTSUPP;
}

/**
 * df_pages_get - find the pages of a dma-buf and keep them in place
 * @pages: filled
 * @dmabuf: the caller's reference must outlive @pages
 *
 * No lock is held afterwards.  May wait for the exporter's fences.
 *
 * Return: 0; -EOPNOTSUPP: it has none that a CPU or any disk could use, or
 * nothing is known about them; -ENOMEM, -EINTR, -ERESTARTSYS.
 */
int df_pages_get(struct df_pages *pages, struct dma_buf *dmabuf)
{
	int error;

	memset(pages, 0, sizeof(*pages));
	pages->dmabuf = dmabuf;
	pages->own = df_buffer_of(dmabuf);
	if (pages->own)
		return 0;
	error = df_is_known(dmabuf) ? df_pages_attach(pages) : -EOPNOTSUPP;
	if (!error)
		return 0;
	df_pages_put(pages);
	return error == -ENOMEM || error == -EINTR || error == -ERESTARTSYS ? error : -EOPNOTSUPP;
}

void df_pages_put(struct df_pages *pages)
{
	if (pages->table)
		dma_buf_unmap_attachment_unlocked(pages->attachment, pages->table,
						  DMA_BIDIRECTIONAL);
	if (pages->attachment)
		dma_buf_detach(pages->dmabuf, pages->attachment);
	kvfree(pages->index);
	memset(pages, 0, sizeof(*pages));
}

/**
 * df_pages_index - make every page quick to find, by several threads at once
 * @pages: held for long
 *
 * Return: 0, -ENOMEM.
 */
int df_pages_index(struct df_pages *pages)
{
	size_t count = pages->dmabuf->size >> PAGE_SHIFT, at = 0, offset;
	struct scatterlist *sg;
	unsigned int i;

	if (pages->own)
		return 0;
	pages->index = kvmalloc_array(count, sizeof(struct page *), GFP_KERNEL_ACCOUNT);
	if (!pages->index)
		return -ENOMEM;
	for_each_sgtable_sg(pages->table, sg, i) {
		for (offset = 0; offset < sg->length && at < count; offset += PAGE_SIZE)
			pages->index[at++] = df_entry_page(sg, offset);
		cond_resched();
	}
	return 0;
}

/**
 * df_pages_at - the page that holds a byte
 * @pages: with their index
 * @offset: within the buffer
 */
struct page *df_pages_at(const struct df_pages *pages, size_t offset)
{
	size_t bytes;

	if (pages->own)
		return df_buffer_page(pages->own, offset, &bytes);
	return pages->index[offset >> PAGE_SHIFT];
}

/* Sets pages->sg to the entry that holds @offset. */
static void df_seek(struct df_pages *pages, size_t offset)
{
	if (!pages->sg || offset < pages->sg_start) {
		pages->sg = pages->table->sgl;
		pages->sg_start = 0;
	}
	while (offset >= pages->sg_start + pages->sg->length) {
		pages->sg_start += pages->sg->length;
		pages->sg = sg_next(pages->sg);
		cond_resched();
	}
}

/**
 * df_pages_bvecs - describe a range of the buffer
 * @pages: of the buffer
 * @offset: where the range begins
 * @length: of the range, which lies within the buffer
 * @bvecs: filled
 * @most: how many there may be; the range is cut short after them
 *
 * Return: how many there are.
 */
unsigned int df_pages_bvecs(struct df_pages *pages, size_t offset, size_t length,
			    struct bio_vec *bvecs, unsigned int most)
{
	unsigned int count = 0;

	while (length && count < most) {
		struct page *page;
		size_t bytes, skip;

		if (pages->own) {
			page = df_buffer_page(pages->own, offset, &bytes);
			bytes = min(length, bytes);
			skip = offset;
		} else {
			df_seek(pages, offset);
			skip = offset - pages->sg_start;
			bytes = min(length, pages->sg->length - skip);
			page = df_entry_page(pages->sg, skip);
		}
		bvec_set_page(&bvecs[count++], page, bytes, offset_in_page(skip));
		offset += bytes;
		length -= bytes;
	}
	return count;
}

/* The page at @offset; @bytes: how many from there on lie in its folio, one after the other. */
static struct page *df_stretch(struct df_pages *pages, size_t offset, size_t *bytes)
{
	struct bio_vec bvec;
	size_t in_folio;

	if (pages->index) {
		*bytes = PAGE_SIZE - offset_in_page(offset);
		return pages->index[offset >> PAGE_SHIFT];
	}
	df_pages_bvecs(pages, offset, SZ_1G, &bvec, 1);
	in_folio = folio_page_idx(page_folio(bvec.bv_page), bvec.bv_page) * PAGE_SIZE +
		   bvec.bv_offset;
	*bytes = min(bvec.bv_len, folio_size(page_folio(bvec.bv_page)) - in_folio);
	return bvec.bv_page;
}

/**
 * df_pages_dirty - note that a range was written to
 * @pages: of the buffer
 * @offset: where the range begins
 * @length: of the range, which lies within the buffer
 *
 * A buffer may be made of a file in memory (udmabuf), whose pages reclaim would
 * drop as clean once the buffer is gone.
 */
void df_pages_dirty(struct df_pages *pages, size_t offset, size_t length)
{
	size_t end = offset + length, bytes;

	for (; !pages->own && offset < end; offset += bytes) {
		struct folio *folio = page_folio(df_stretch(pages, offset, &bytes));

		if (READ_ONCE(folio->mapping) && !folio_test_dirty(folio)) {
			folio_lock(folio);
			folio_mark_dirty(folio);
			folio_unlock(folio);
		}
		cond_resched();
	}
}

/**
 * df_begin_access - dma_buf_begin_cpu_access(), also by several at once
 * @dmabuf: the buffer
 * @direction: as there
 *
 * udmabuf makes a table at the first access, and has no lock for that.  The lock of
 * the dma-buf's inode, which nothing there uses, serves: one for each buffer.  It is
 * held for the exporter's part of that function only: the other one waits for devices,
 * and a reader is not to wait as long as a writer may.
 *
 * Return: as there; -EINTR.
 */
int df_begin_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct rw_semaphore *lock = &file_inode(dmabuf->file)->i_rwsem;
	long result;

	if (strcmp(dmabuf->exp_name, "udmabuf") || !dmabuf->ops->begin_cpu_access)
		return dma_buf_begin_cpu_access(dmabuf, direction);
	if (down_write_killable(lock))
		return -EINTR;
	result = dmabuf->ops->begin_cpu_access(dmabuf, direction);
	up_write(lock);
	if (!result)
		result = dma_resv_wait_timeout(dmabuf->resv,
					       dma_resv_usage_rw(direction != DMA_FROM_DEVICE),
					       true, MAX_SCHEDULE_TIMEOUT);
	return min(result, 0L);
}

int df_pages_init(void)
{
	int error;

	df_root = root_device_register("dmabuf_file");
	if (IS_ERR(df_root))
		return PTR_ERR(df_root);
	/* Mappings made for it must not touch caches. */
	df_never_sync(df_root);
	error = dma_coerce_mask_and_coherent(df_root, DMA_BIT_MASK(64));
	if (error)
		root_device_unregister(df_root);
	return error;
}

void df_pages_exit(void)
{
	root_device_unregister(df_root);
}
