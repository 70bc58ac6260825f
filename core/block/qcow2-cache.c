/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Pages of L2 tables and refcount blocks: clean ones in order of use, dirty ones until writeback.
 */

#include "core/block/qcow2-internal.h"

#include <string.h>

typedef struct {
    GList link; /* in clean or dirty */
    uint64_t offset;
    bool is_dirty;
    uint8_t data[];
} Page;

struct Qcow2Cache {
    BlockFile *file;
    uint32_t page_size, max_pages;
    GHashTable *pages; /* &Page.offset -> Page */
    GQueue clean;      /* the most recently used first */
    GQueue dirty;
};

Qcow2Cache *qcow2_cache_new(BlockFile *file, uint32_t page_size, uint32_t max_pages)
{
    Qcow2Cache *cache = g_new0(Qcow2Cache, 1);

    cache->file = file;
    cache->page_size = page_size;
    cache->max_pages = max_pages;
    cache->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    return cache;
}

void qcow2_cache_free(Qcow2Cache *cache)
{
    if (!cache)
        return;
    g_hash_table_unref(cache->pages);
    g_free(cache);
}

uint32_t qcow2_cache_page_size(const Qcow2Cache *cache)
{
    return cache->page_size;
}

bool qcow2_cache_is_dirty(const Qcow2Cache *cache)
{
    return cache->dirty.head != NULL;
}

bool qcow2_cache_is_crowded(const Qcow2Cache *cache)
{
    return cache->dirty.length > cache->max_pages / 2;
}

static void drop(Qcow2Cache *cache, Page *page)
{
    g_queue_unlink(page->is_dirty ? &cache->dirty : &cache->clean, &page->link);
    g_hash_table_remove(cache->pages, &page->offset);
}

static int find(Qcow2Cache *cache, uint64_t offset, Page **found)
{
    uint64_t start = offset - offset % cache->page_size;
    Page *page = g_hash_table_lookup(cache->pages, &start);

    if (page) {
        if (!page->is_dirty && cache->clean.head != &page->link) {
            g_queue_unlink(&cache->clean, &page->link);
            g_queue_push_head_link(&cache->clean, &page->link);
        }
        *found = page;
        return 0;
    }
    if (g_hash_table_size(cache->pages) >= cache->max_pages && cache->clean.tail)
        drop(cache, cache->clean.tail->data);
    page = g_malloc0(sizeof *page + cache->page_size);
    int result = block_file_read(cache->file, start, page->data, cache->page_size);
    if (result) {
        g_free(page);
        return result;
    }
    page->offset = start;
    page->link.data = page;
    g_hash_table_insert(cache->pages, &page->offset, page);
    g_queue_push_head_link(&cache->clean, &page->link);
    *found = page;
    return 0;
}

int qcow2_cache_read(Qcow2Cache *cache, uint64_t offset, void *buffer, uint32_t length)
{
    Page *page;
    int result = find(cache, offset, &page);

    if (result == 0)
        memcpy(buffer, page->data + (offset - page->offset), length);
    return result;
}

int qcow2_cache_write(Qcow2Cache *cache, uint64_t offset, const void *buffer, uint32_t length)
{
    Page *page;
    int result = find(cache, offset, &page);

    if (result)
        return result;
    memcpy(page->data + (offset - page->offset), buffer, length);
    if (!page->is_dirty) {
        g_queue_unlink(&cache->clean, &page->link);
        g_queue_push_tail_link(&cache->dirty, &page->link);
        page->is_dirty = true;
    }
    return 0;
}

void qcow2_cache_forget(Qcow2Cache *cache, uint64_t offset, uint64_t length)
{
    for (uint64_t at = offset - offset % cache->page_size; at < offset + length;
         at += cache->page_size) {
        Page *page = g_hash_table_lookup(cache->pages, &at);
        if (page)
            drop(cache, page);
    }
}

static int by_offset(gconstpointer a, gconstpointer b, gpointer data)
{
    const Page *x = a, *y = b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int qcow2_cache_writeback(Qcow2Cache *cache)
{
    g_queue_sort(&cache->dirty, by_offset, NULL);
    while (cache->dirty.head) {
        Page *page = cache->dirty.head->data;
        int result = block_file_write(cache->file, page->offset, page->data, cache->page_size);
        if (result)
            return result;
        g_queue_unlink(&cache->dirty, &page->link);
        g_queue_push_head_link(&cache->clean, &page->link);
        page->is_dirty = false;
    }
    return 0;
}
