// needs: miner miner/read proto common
// What is remembered of a source from poll to poll, what looks like rot, and what proves that nothing was
// missed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "miner/continuity.h"
#include "miner/memory.h"
#include "miner/rot.h"

// -- memory -----------------------------------------------------------------------------------------

static void comes_back_as_it_was_written(void **state)
{
    (void)state;
    memory_t in = {.items = 30,
                   .details = 90,
                   .bare = 2,
                   .pages = 7,
                   .n_fills = 3,
                   .fills = {100, FILL_UNKNOWN, 0},
                   .found = true,
                   .told = 2},
             out;
    char text[MAX_MEMORY + 1];
    in.n_anchors = 2, in.anchors[0] = 0xa, in.anchors[1] = 0xffff;
    memory_write(&in, text);
    assert_string_equal(text,
                        "items=30 pages=7 told=2 details=90 bare=2 found=1 fills=100,-,0 anchors=000affff");
    memory_parse(&out, text);
    assert_memory_equal(&in, &out, sizeof in);
    memory_parse(&out, NULL);
    assert_int_equal(out.items, 0);
}

static void the_largest_fits(void **state)
{
    (void)state;
    memory_t in = {.items = UINT32_MAX,
                   .details = 100,
                   .bare = UINT16_MAX,
                   .pages = MAX_PAGES,
                   .n_fills = MAX_FIELDS,
                   .found = true,
                   .told = 255},
             out;
    char text[MAX_MEMORY + 1];
    memset(in.fills, 100, sizeof in.fills);
    in.n_anchors = MAX_ANCHORS;
    memory_write(&in, text);
    memory_parse(&out, text);
    assert_memory_equal(&in, &out, sizeof in);
}

static void nonsense_is_nothing(void **state)
{
    (void)state;
    memory_t m;
    memory_parse(
        &m,
        "items=99999999999999 fills=,,x,300,-5 anchors=12g40000 told=900 pages=5000 =  fills= \xff items");
    assert_int_equal(m.items, UINT32_MAX);
    assert_int_equal(m.pages, MAX_PAGES);
    assert_int_equal(m.told, 255);
    assert_int_equal(m.n_anchors, 0);
    assert_int_equal(m.n_fills, 1);
    char many[4096] = "anchors=";
    memset(many + 8, 'a', sizeof many - 9);
    memory_parse(&m, many);
    assert_int_equal(m.n_anchors, MAX_ANCHORS);
    strcpy(many, "fills=");
    for (int i = 0; i < 500; i++) strcat(many, "1,");
    memory_parse(&m, many);
    assert_int_equal(m.n_fills, MAX_FIELDS);
}

// -- rot --------------------------------------------------------------------------------------------

static field_t fields[] = {{.name = "title"}, {.name = "score"}};
static const template_t list = {.fields = fields, .n_fields = 2};

static const char *judge(const memory_t *usual, const template_t *t, item_t *items, size_t n, size_t matched,
                         const char *elsewhere)
{
    static char why[200];
    items_t now = {.items = items, .n_items = n, .matched = matched};
    rot_look_t look = {&now, elsewhere, 60000};
    return rot_judge(usual, t, &look, why, sizeof why) ? why : NULL;
}

static void learn(memory_t *m, item_t *items, size_t n)
{
    items_t now = {.items = items, .n_items = n, .matched = n};
    rot_learn(m, &list, &now);
}

static void fill(item_t *items, size_t n, const char *title, const char *score)
{
    for (size_t i = 0; i < n; i++)
        items[i] = (item_t){.key = "k", .title = title, .fields = score, .published_ms = TIME_NONE};
}

static void a_field_that_is_gone(void **state)
{
    (void)state;
    item_t items[20];
    memory_t m = {0};
    fill(items, 20, "t", "{\"score\":1}");
    assert_null(judge(&m, &list, items, 20, 20, NULL)); // nothing is known yet
    learn(&m, items, 20);
    assert_int_equal(m.fills[0], 100);
    assert_int_equal(m.fills[1], 100);
    assert_null(judge(&m, &list, items, 20, 20, NULL));
    fill(items, 19, "t", "{\"other\":1}");
    assert_string_equal(judge(&m, &list, items, 20, 20, NULL),
                        "`score` is in 5 % of 20 items, where 100 % are usual");
    fill(items, 17, "t", "{\"other\":1}");
    fill(items + 17, 3, "t", "{\"score\":1}");
    assert_null(judge(&m, &list, items, 20, 20, NULL)); // some are left
    assert_null(judge(&m, &list, items, 2, 2, NULL));   // too few to say
    for (int i = 0; i < 3; i++) learn(&m, items, 20);
    assert_true(m.fills[1] < ROT_FILLED_PERCENT);
    fill(items, 20, "t", "{}");
    assert_null(judge(&m, &list, items, 20, 20, NULL)); // that it often lacked
    fill(items, 20, NULL, "{}");
    assert_non_null(strstr(judge(&m, &list, items, 20, 20, NULL), "`title`"));
    m.n_fills = 1; // of another version of the template
    assert_null(judge(&m, &list, items, 20, 20, NULL));
}

static void nothing_where_there_was_much(void **state)
{
    (void)state;
    memory_t m = {0};
    item_t items[8];
    fill(items, 8, "t", NULL);
    assert_null(judge(&m, &list, items, 0, 0, NULL));
    learn(&m, items, 2);
    assert_null(judge(&m, &list, items, 0, 0, NULL)); // two is not many
    learn(&m, items, 8);
    assert_string_equal(judge(&m, &list, items, 0, 8, NULL), "lists nothing, where 8 items are usual");
    filter_t drop = {.field = "title", .drop = true};
    template_t filtered = list;
    filtered.filters = &drop, filtered.n_filters = 1;
    assert_null(judge(&m, &filtered, items, 0, 8, NULL)); // the filters' work
    assert_non_null(judge(&m, &filtered, items, 0, 0, NULL));
    template_t empty = list;
    empty.may_be_empty = true;
    assert_null(judge(&m, &empty, items, 0, 0, NULL));
    m.items = 60;
    assert_non_null(strstr(judge(&m, &list, items, 5, 5, "http://x/login"), "redirected to http://x/login"));
    assert_null(judge(&m, &list, items, 6, 6, "http://x/login"));
    assert_null(judge(&m, &list, items, 5, 5, NULL));
}

static void what_is_usual_follows_slowly(void **state)
{
    (void)state;
    memory_t m = {0};
    item_t items[100];
    fill(items, 100, "t", NULL);
    learn(&m, items, 100);
    assert_int_equal(m.items, 100);
    learn(&m, items, 20);
    assert_int_equal(m.items, 80);
    for (int i = 0; i < 40; i++) learn(&m, items, 20);
    assert_int_equal(m.items, 20);
    learn(&m, items, 0); // it was believed
    assert_int_equal(m.items, 0);
}

static void detail_pages_without_what_they_had(void **state)
{
    (void)state;
    field_t page_fields[] = {{.name = "title", .required = true}, {.name = "content"}};
    template_t t = {.detail_fields = page_fields, .n_detail_fields = 2};
    item_t page = {.content = "c", .published_ms = TIME_NONE};
    assert_true(rot_page_is_bare(&t, &page));
    page.title = "t";
    assert_false(rot_page_is_bare(&t, &page));
    page_fields[0].required = false;
    assert_true(rot_page_is_bare(&t, &(item_t){.image = "i", .published_ms = TIME_NONE}));
    char why[200];
    memory_t m = {0};
    assert_false(rot_judge_pages(&m, 0, 9, why, sizeof why)); // nothing is known yet
    rot_learn_pages(&m, 9, 1);
    assert_int_equal(m.details, 90);
    assert_false(rot_judge_pages(&m, 0, 2, why, sizeof why)); // too few to say
    assert_true(rot_judge_pages(&m, 0, 3, why, sizeof why));
    assert_false(rot_judge_pages(&m, 1, 30, why, sizeof why));
    rot_learn_pages(&m, 0, 1); // one in each poll
    assert_false(rot_judge_pages(&m, 0, 0, why, sizeof why));
    m.details = 80;
    rot_learn_pages(&m, 0, 0);
    assert_true(rot_judge_pages(&m, 0, 2, why, sizeof why));
    rot_learn_pages(&m, 1, 0);
    assert_int_equal(m.bare, 0);
}

// -- continuity -------------------------------------------------------------------------------------

// n: new, a: an anchor, o: known, but no anchor.
static bool proven(const char *items, uint32_t anchors)
{
    continuity_t c = {.anchors = anchors};
    for (; *items; items++) continuity_item(&c, *items == 'a', *items == 'o');
    return continuity_is_proven(&c);
}

static void two_known_ones_below_the_new_ones(void **state)
{
    (void)state;
    assert_true(proven("aaaaaaaa", 8));
    assert_true(proven("nnnnnnaa", 8));
    assert_false(proven("nnnnnnna", 8)); // it may be pinned to the bottom
    assert_false(proven("nnnnnnnn", 8));
    assert_false(proven("aannnnnn", 8)); // two pinned ones
    assert_false(proven("aannnnna", 8));
    assert_true(proven("annnnnoo", 8));
    assert_false(proven("aannnnno", 8));
}

static void what_stands_below_most_anchors_is_old(void **state)
{
    (void)state;
    assert_true(proven("aaaaaaan", 8)); // one was deleted, an older one came up
    assert_true(proven("naaaaaann", 8));
    assert_false(proven("naaaaann", 8));
}

static void short_lists(void **state)
{
    (void)state;
    assert_false(proven("nnn", 0));
    assert_false(proven("", 0));
    assert_true(proven("nna", 1)); // all that was there is there
    assert_false(proven("nnn", 1));
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(comes_back_as_it_was_written),
        TEST(the_largest_fits),
        TEST(nonsense_is_nothing),
        TEST(a_field_that_is_gone),
        TEST(nothing_where_there_was_much),
        TEST(what_is_usual_follows_slowly),
        TEST(detail_pages_without_what_they_had),
        TEST(two_known_ones_below_the_new_ones),
        TEST(what_stands_below_most_anchors_is_old),
        TEST(short_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
