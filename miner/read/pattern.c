// Pattern: a thin hold on PCRE2.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "miner/read/pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/effort.h"

enum {
    MATCH_LIMIT = 200000, // steps of one match; an honest pattern takes some hundreds
    DEPTH_LIMIT = 2000,
    HEAP_LIMIT_KIB = 4096,
};

struct pattern {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
    uint32_t groups;
};

pattern_t *pattern_new(const char *text, const char *path, template_error_t *error)
{
    int why;
    size_t at;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &why, &at, NULL);
    if (!code) {
        PCRE2_UCHAR words[128] = "";
        pcre2_get_error_message(why, words, sizeof words);
        template_fail(error, path, "no valid pattern (PCRE2): %s at character %zu of \"%.80s\"",
                      (const char *)words, at + 1, text);
        return NULL;
    }
    pattern_t *p = xcalloc(1, sizeof *p);
    p->code = code;
    p->data = pcre2_match_data_create(2, NULL);
    p->limits = pcre2_match_context_create(NULL);
    CHECK(p->data && p->limits);
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &p->groups);
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(p->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
    return p;
}

void pattern_destroy(pattern_t **pattern)
{
    pattern_t *p = *pattern;
    if (!p) return;
    pcre2_code_free(p->code);
    pcre2_match_data_free(p->data);
    pcre2_match_context_free(p->limits);
    free(p);
    *pattern = NULL;
}

pattern_status_t pattern_find(const pattern_t *p, const char *text, const char **part, size_t *len)
{
    if (effort_over()) return PATTERN_EFFORT;
    int n = pcre2_match(p->code, (PCRE2_SPTR)text, strlen(text), 0, PCRE2_NO_UTF_CHECK, p->data, p->limits);
    if (n == PCRE2_ERROR_NOMATCH) return PATTERN_NONE;
    if (n < 0) return PATTERN_EFFORT;
    const size_t *at = pcre2_get_ovector_pointer(p->data) + (p->groups ? 2 : 0);
    // n is 0 where there are more groups than are kept
    if ((p->groups && n == 1) || at[0] == PCRE2_UNSET || at[1] < at[0]) return PATTERN_NONE;
    *part = text + at[0];
    *len = at[1] - at[0];
    return PATTERN_FOUND;
}
