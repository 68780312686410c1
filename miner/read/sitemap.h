// Sitemap: sitemaps.org XML (urlset, sitemapindex; news and image extensions) and plain lists of URLs.
#ifndef RTM_MINER_SITEMAP_H
#define RTM_MINER_SITEMAP_H

#include "miner/read/read.h"

// Reads one sitemap (unpacked). An item's url is its loc, published_ms its news:publication_date or else
// lastmod, title news:title, image the first image:loc, `fields` the rest (lastmod, changefreq, priority,
// news:name ...). In a sitemapindex each child sitemap is an item, with `"sitemap": true` in `fields`.
read_status_t sitemap_items(const template_t *template, arena_t *arena, const document_t *document,
                            items_t *out);

#endif
