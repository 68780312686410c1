// Templates: see templates.h.
#include "bench/site/templates.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *const READING[SITE_KINDS] = {
    [SITE_HTML] = "  \"kind\": \"html\",\n"
                  "  \"items\": \"tr.athing\",\n"
                  "  \"key\": \"::attr(id)\",\n"
                  "  \"fields\": {\n"
                  "    \"title\": \"span.titleline > a::text\",\n"
                  "    \"url\": \"span.titleline > a::attr(href)\",\n"
                  "    \"author\": \"+ tr .byline::text\",\n"
                  "    \"points\": {\"select\": \"+ tr .score::text\", \"match\": \"(\\\\d+)\", \"type\": "
                  "\"integer\"}\n"
                  "  },\n"
                  "  \"detail\": {\"follow\": \"url\", \"fields\": {\n"
                  "    \"description\": \"meta[property='og:description']::attr(content)\",\n"
                  "    \"image\": \"meta[property='og:image']::attr(content)\"\n"
                  "  }},\n"
                  "  \"order\": \"newest\"",
    [SITE_RSS] = "  \"kind\": \"feed\"",
    [SITE_ATOM] = "  \"kind\": \"feed\"",
    [SITE_JSON] = "  \"kind\": \"json\",\n"
                  "  \"items\": \"$.items[*]\",\n"
                  "  \"key\": \"$.id\",\n"
                  "  \"fields\": {\n"
                  "    \"title\": \"$.title\",\n"
                  "    \"url\": \"$.url\",\n"
                  "    \"author\": \"$.author\",\n"
                  "    \"description\": \"$.description\",\n"
                  "    \"published_at\": {\"select\": \"$.published_at\", \"type\": \"time\"},\n"
                  "    \"points\": {\"select\": \"$.points\", \"type\": \"integer\"}\n"
                  "  },\n"
                  "  \"order\": \"newest\"",
};

// Writes the URLs of a kind from source *next on, as many as fit; *next becomes where the following file
// begins.
static void write_urls(FILE *file, const world_t *world, site_kind_t kind, uint32_t *next)
{
    uint32_t sources = world_options(world)->sources;
    unsigned n = 0;
    for (; *next < sources; (*next)++) {
        char url[192];
        if (world_kind(world, *next) != kind) continue;
        if (n == TEMPLATE_URLS_MAX) return;
        world_source_url(world, *next, url, sizeof url);
        fprintf(file, "%s\n    \"%s\"", n++ ? "," : "", url);
    }
}

static int write_one(const world_t *world, const char *dir, const char *every, site_kind_t kind,
                     unsigned number, uint32_t *next)
{
    char name[32], path[PATH_MAX];
    snprintf(name, sizeof name, number > 1 ? "site-%s-%u" : "site-%s", site_kind_name(kind), number);
    if (snprintf(path, sizeof path, "%s/%s.json", dir, name) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    FILE *file = fopen(path, "w");
    if (!file) return -1;
    fprintf(file, "{\n  \"name\": \"%s\",\n  \"urls\": [", name);
    write_urls(file, world, kind, next);
    fprintf(file, "\n  ],\n%s", READING[kind]);
    if (every) fprintf(file, ",\n  \"every\": \"%s\"", every);
    fprintf(file, "\n}\n");
    return fclose(file) == 0 ? 0 : -1;
}

// The first source of this kind from source `from` on.
static uint32_t first_of(const world_t *world, site_kind_t kind, uint32_t from)
{
    while (from < world_options(world)->sources && world_kind(world, from) != kind) from++;
    return from;
}

int templates_write(const world_t *world, const char *dir, const char *every)
{
    int files = 0;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) return -1;
    for (site_kind_t kind = SITE_HTML; kind < SITE_KINDS; kind++) {
        uint32_t next = first_of(world, kind, 0);
        for (unsigned number = 1; next < world_options(world)->sources; number++) {
            if (write_one(world, dir, every, kind, number, &next) != 0) return -1;
            files++;
        }
    }
    return files;
}
