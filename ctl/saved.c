// Saved: see saved.h.
#include "ctl/saved.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yyjson.h>

#include "common/check.h"
#include "ctl/ctl.h"
#include "ctl/term.h"

enum { MAX_META = 64 << 10, MAX_PATH = 4096 };

#define META ".meta.json"

// The file's ending, for people and their editors.
static const char *ending(const document_t *d)
{
    size_t i = 0;
    while (i < d->len && d->bytes[i] && strchr("\xEF\xBB\xBF \t\r\n", d->bytes[i])) i++;
    size_t head = d->len - i < 512 ? d->len - i : 512;
    if (head && (d->bytes[i] == '{' || d->bytes[i] == '[')) return "json";
    if (head >= 5 && memcmp(d->bytes + i, "<?xml", 5) == 0) return "xml";
    if (memmem(d->bytes + i, head, "<rss", 4) || memmem(d->bytes + i, head, "<feed", 5)) return "xml";
    return head && d->bytes[i] == '<' ? "html" : "bin";
}

static int write_file(const char *path, const char *bytes, size_t len)
{
    FILE *f = fopen(path, "wb");
    if (!f) return ctl_refuse("%s: %s", path, strerror(errno));
    size_t written = fwrite(bytes, 1, len, f);
    if (fclose(f) == 0 && written == len) return CTL_OK;
    return ctl_refuse("%s: %s", path, strerror(errno));
}

static int write_meta(const char *path, const document_t *d, bool detail)
{
    size_t len;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, o);
    yyjson_mut_obj_add_str(doc, o, "url", d->url);
    if (d->content_type) yyjson_mut_obj_add_str(doc, o, "content_type", d->content_type);
    if (detail) yyjson_mut_obj_add_bool(doc, o, "detail", true);
    char *json = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &len);
    int result = json ? write_file(path, json, len) : ctl_refuse("%s: out of memory", path);
    free(json);
    yyjson_mut_doc_free(doc);
    return result;
}

int saved_write(const char *dir, const char *name, const document_t *document, bool detail)
{
    char path[MAX_PATH], meta[MAX_PATH + sizeof META];
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) return ctl_refuse("%s: %s", dir, strerror(errno));
    int n = snprintf(path, sizeof path, "%s/%s.%s", dir, name, ending(document));
    if (n < 0 || (size_t)n >= sizeof path) return ctl_refuse("%.100s...: the path is too long", dir);
    snprintf(meta, sizeof meta, "%s" META, path);
    int result = write_file(path, document->bytes, document->len);
    if (result == CTL_OK) result = write_meta(meta, document, detail);
    if (result != CTL_OK) return result;
    fputs("saved ", stderr);
    term_print(stderr, path, false);
    fputc('\n', stderr);
    return CTL_OK;
}

static void read_meta(saved_t *out, const char *path)
{
    char name[MAX_PATH];
    struct stat st;
    buf_t text;
    int n = snprintf(name, sizeof name, "%s" META, path);
    if (n < 0 || (size_t)n >= sizeof name || stat(name, &st) != 0) return;
    if (ctl_read(&text, name, MAX_META) == CTL_OK && text.len) {
        yyjson_doc *doc = yyjson_read(text.data, text.len, YYJSON_READ_ALLOW_INVALID_UNICODE);
        yyjson_val *root = yyjson_doc_get_root(doc);
        const char *type = yyjson_get_str(yyjson_obj_get(root, "content_type"));
        const char *url = yyjson_get_str(yyjson_obj_get(root, "url"));
        out->content_type = type ? xstrdup(type) : NULL;
        out->url = url ? xstrdup(url) : NULL;
        out->detail = yyjson_get_bool(yyjson_obj_get(root, "detail"));
        yyjson_doc_free(doc);
    }
    buf_free(&text);
}

int saved_read(saved_t *out, const char *path)
{
    *out = (saved_t){.detail = false};
    int result = ctl_read(&out->body, path, MAX_DOCUMENT);
    if (result == CTL_OK && strcmp(path, "-") != 0) read_meta(out, path);
    return result;
}

void saved_free(saved_t *saved)
{
    buf_free(&saved->body);
    free(saved->content_type);
    free(saved->url);
}
