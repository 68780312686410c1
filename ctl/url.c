// Url: what a link in a document means, and the normal form by which rows of one story are grouped.
#include <string.h>

#include "common/arena.h"
#include "ctl/ctl.h"
#include "ctl/print.h"
#include "miner/read/url.h"

enum { URL_ARENA = 1 << 20 };

static void put(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, const char *text)
{
    yyjson_mut_obj_add_val(doc, o, name, text ? yyjson_mut_str(doc, text) : yyjson_mut_null(doc));
}

static void tell(const char *url, const char *norm)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    put(doc, o, "url", url);
    put(doc, o, "url_norm", norm);
    yyjson_doc *copy = yyjson_mut_val_imut_copy(o, NULL);
    if (copy) print_json(stdout, yyjson_doc_get_root(copy));
    fputc('\n', stdout);
    yyjson_doc_free(copy);
    yyjson_mut_doc_free(doc);
}

int run_url(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int at = ctl_parse(command, ctl, NULL, 0, argc, argv, 1, 2), result = CTL_OK;
    const char *text = argv[at], *base = at + 1 < argc ? argv[at + 1] : NULL;
    urls_t *urls = urls_new();
    arena_t *arena = arena_new(URL_ARENA);
    if (base && urls_set_base(urls, base, strlen(base)) != 0) {
        result = ctl_refuse("%s: no absolute URL", base);
    } else {
        // an empty link means its page, which is no post of its own: urls_resolve gives none for it
        if (base && text[strspn(text, " \t\r\n\f")] == '\0')
            text = arena_strndup(arena, base, strcspn(base, "#"));
        const char *url = text ? urls_resolve(urls, arena, text, strlen(text)) : NULL;
        if (url)
            tell(url, urls_norm(urls, arena, url));
        else
            result =
                ctl_refuse("%s: no http or https URL%s", text, base ? "" : " (a relative one needs BASE)");
    }
    arena_destroy(&arena);
    urls_destroy(&urls);
    return result;
}
