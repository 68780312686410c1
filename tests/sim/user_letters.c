// Letters: see the header.
#include "tests/sim/user_letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/control.h"
#include "tests/sim/heard.h"
#include "tests/sim/user_tasks.h"

enum { POISON_DEATHS = 3, FEW = 10, CHANGES_MS = 120000 };

// A letter as a user was told of it.
typedef struct {
    uint64_t id;
    int64_t count, last;
    char error[32];
    bool found; // in the list at hand
} known_t;

// The list at hand.
typedef struct {
    yyjson_doc *doc;
    yyjson_val *rows;
    size_t n;
    int64_t oldest;
} list_t;

static bool is_task(yyjson_val *row)
{
    return !strcmp(row_text(row, "kind"), "task");
}

static page_t *page_of(world_t *w, yyjson_val *row)
{
    for (int i = 0; i < w->n_pages; i++)
        if (!strcmp(w->pages[i].url, row_text(row, "url")) &&
            w->pages[i].template == atoi(row_text(row, "template") + 1))
            return &w->pages[i];
    return NULL;
}

void user_letters_told(world_t *w, yyjson_val *rows)
{
    yyjson_val *row;
    size_t i, n;
    yyjson_arr_foreach(rows, i, n, row)
    {
        uint64_t id = (uint64_t)row_number(row, "id");
        if (!is_task(row) || map_get(&w->letters_gone, id)) continue;
        known_t *k = map_get(&w->letters, id);
        if (!k) {
            k = xcalloc(1, sizeof *k);
            k->id = id;
            map_put(&w->letters, id, k);
        }
        if (row_number(row, "last_ms") < k->last) continue;
        k->count = row_number(row, "count");
        k->last = row_number(row, "last_ms");
        snprintf(k->error, sizeof k->error, "%s", row_text(row, "error"));
    }
}

// The user did away with it: what is under way may still tell of it.
static void forget(world_t *w, uint64_t id)
{
    map_put(&w->letters_gone, id, w);
    free(map_del(&w->letters, id));
}

// -- looking ------------------------------------------------------------------------------------------------

// False: nobody is there.
static bool fetch(world_t *w, const char *name, list_t *list)
{
    wire_arg_t args[] = {{"action", "list"}, {"name", name}};
    *list = (list_t){.rows = control_ask(w, "dlq", args, name ? 2 : 1), .oldest = INT64_MAX};
    list->doc = w->answer; // it outlives the next command
    w->answer = NULL;
    list->n = yyjson_arr_size(list->rows);
    if (list->n) list->oldest = row_number(yyjson_arr_get_last(list->rows), "last_ms");
    return list->rows != NULL;
}

static void check_list(world_t *w, const list_t *list)
{
    yyjson_val *row;
    size_t i, n;
    int64_t back = 3 * w->slot_ms, before = INT64_MAX - back;
    if (list->n > w->letters_kept) sim_fail(w, "there are %zu dead letters", list->n);
    yyjson_arr_foreach(list->rows, i, n, row)
    {
        if (row_number(row, "last_ms") > before + back) // time may go back where a broker starts
            sim_fail(w, "dead letter %lld is listed after an older one", (long long)row_number(row, "id"));
        before = row_number(row, "last_ms");
        known_t *k = map_get(&w->letters, (uint64_t)row_number(row, "id"));
        if (!k) continue;
        k->found = true;
        if (!is_task(row) || k->count > row_number(row, "count") ||
            k->last > row_number(row, "last_ms") + back || strcmp(k->error, row_text(row, "error")) != 0)
            sim_fail(w, "dead letter %llu (%s, %lld times, last at %lld) has become another",
                     (unsigned long long)k->id, k->error, (long long)k->count, (long long)k->last);
    }
}

// What a user knew of is still there, unless newer ones took its place.
static void check_known(world_t *w, const list_t *list)
{
    size_t pos = 0, n = 0;
    known_t **lost = xcalloc(w->letters.count + 1, sizeof(known_t *));
    for (known_t *k; (k = map_next(&w->letters, &pos)); k->found = false)
        if (!k->found) lost[n++] = k;
    bool few =
        w->letters_kept <= FEW; // then it may have left, and not be the oldest any more when it is missed
    for (size_t i = 0; i < n; i++) {
        if (!few || (list->n && lost[i]->last > list->oldest + 3 * w->slot_ms))
            sim_fail(w, "dead letter %llu (%s, last at %lld) is lost; there are %zu",
                     (unsigned long long)lost[i]->id, lost[i]->error, (long long)lost[i]->last, list->n);
        map_del(&w->letters, lost[i]->id);
        free(lost[i]);
    }
    free(lost);
}

static yyjson_val *letter_for(const list_t *list, const char *url, const char *template, bool task)
{
    yyjson_val *row;
    size_t i, n;
    yyjson_arr_foreach(list->rows, i, n, row) if (is_task(row) == task &&
                                                  (!url || !strcmp(row_text(row, "url"), url)) &&
                                                  !strcmp(row_text(row, "template"), template)) return row;
    return NULL;
}

// -- what was given up ------------------------------------------------------------------------------------

static void check_given_up(world_t *w, const sim_task_t *t, void *context)
{
    const list_t *list = context;
    char name[16];
    snprintf(name, sizeof name, "t%d", t->template);
    if (w->acted_due[t->template] >= t->at) return;                          // it may have left already
    if (t->legs && w->changed_due[t->template] > t->at - CHANGES_MS) return; // nobody misses what was removed
    const char *url = t->page < 0 || w->off[t->template] ? NULL : w->pages[t->page].url;
    yyjson_val *row = letter_for(list, url, name, true);
    if (!row) row = letter_for(list, "", name, true);                // its source is gone
    bool left = list->n < w->letters_kept && w->letters_kept <= FEW; // users dealt with others meanwhile
    left |= list->n >= w->letters_kept && list->oldest + 3 * w->slot_ms >= t->ended_at;
    if (!left && (!row || row_number(row, "last_ms") < t->at))
        sim_fail(w, "task %llu failed, and there is no dead letter of it", (unsigned long long)t->id);
}

// Sources in quarantine and letters that say so are the same.
static void check_quarantine(world_t *w, const list_t *list)
{
    yyjson_val *sources = control_ask(w, "sources", NULL, 0), *row;
    size_t i, n;
    yyjson_arr_foreach(sources, i, n, row)
    {
        bool is = !strcmp(row_text(row, "state"), "quarantined"),
             disabled = !strcmp(row_text(row, "state"), "disabled");
        yyjson_val *letter = letter_for(list, row_text(row, "url"), row_text(row, "template"), false);
        page_t *p = page_of(w, row);
        if (is && !letter && w->letters_kept > FEW && !p->letter_dropped)
            sim_fail(w, "%s is in quarantine, and there is no dead letter of it", p->url);
        if (!is && !disabled && letter) sim_fail(w, "%s is in quarantine as a dead letter only", p->url);
        if (!is) p->letter_dropped = false;
        bool poison = is && letter && !strcmp(row_text(letter, "error"), "poison");
        if (poison && p->deaths < POISON_DEATHS)
            sim_fail(w, "%s is said to be poison, and %d miners died that had it", p->url, p->deaths);
        if (poison && !p->settled_deaths)
            sim_fail(w, "%s is said to be poison, and all miners that died of it had just started", p->url);
    }
}

void user_letters_look(world_t *w)
{
    list_t list;
    if (!fetch(w, NULL, &list)) return;
    check_list(w, &list);
    check_known(w, &list);
    user_tasks_failed(w, check_given_up, &list);
    check_quarantine(w, &list);
    yyjson_doc_free(list.doc);
}

// -- acting -------------------------------------------------------------------------------------------------

static size_t count_tasks(world_t *w)
{
    yyjson_val *status = control_ask(w, "status", NULL, 0);
    return (size_t)row_number(status, "tasks");
}

// letter: one, or NULL: all of the list. False: it was refused.
static void act(world_t *w, const list_t *list, yyjson_val *letter, const char *name, bool retry)
{
    char id[24] = "";
    wire_arg_t args[] = {{"action", retry ? "retry" : "drop"}, {"id", id}, {"name", name}};
    if (letter) snprintf(id, sizeof id, "%lld", (long long)row_number(letter, "id"));
    size_t tasks = count_tasks(w);
    yyjson_val *done = control_ask(w, "dlq", args, 3), *row;
    size_t acted = (size_t)row_number(done, "letters"),
           refused = letter ? !done : (size_t)row_number(done, "refused"), i, n;
    list_t after;
    w->acted_due[atoi(name + 1)] = heard_now(w);
    w->n_planned = 0;
    if (w->failure[0] || (!done && !w->refused) || !fetch(w, name, &after)) return;
    size_t all = letter ? 1 : list->n, left = 0;
    yyjson_arr_foreach(list->rows, i, n, row)
    {
        bool meant = !letter || row == letter, there = false;
        yyjson_val *other;
        size_t k, m;
        if (!meant) continue;
        yyjson_arr_foreach(after.rows, k, m, other) there |= row_number(row, "id") == row_number(other, "id");
        left += there;
        if (there) continue;
        forget(w, (uint64_t)row_number(row, "id"));
        page_t *p = page_of(w, row);
        if (p && !is_task(row) && !retry) p->letter_dropped = true;
        if (p && retry) heard_release(p);
    }
    yyjson_doc_free(after.doc);
    if (left != refused || acted + refused > all || (acted < all - refused && !retry))
        sim_fail(w, "dlq %s: %zu of %zu letters, %zu refused, and %zu are there", retry ? "retry" : "drop",
                 acted, all, refused, left);
    size_t more = count_tasks(w) - tasks;
    if (more != (retry ? acted : 0))
        sim_fail(w, "dlq %s of %zu letters made %zu tasks", retry ? "retry" : "drop", acted, more);
}

void user_letters_act(world_t *w)
{
    char name[16];
    list_t list;
    snprintf(name, sizeof name, "t%d", (int)sim_random(w, (uint64_t)w->n_templates));
    uint64_t pick = sim_random(w, 1000);
    bool retry = sim_random(w, 3) != 0, all = sim_random(w, 4) == 0;
    user_tasks_look(w);
    user_letters_look(w);
    if (w->failure[0] || !fetch(w, name, &list)) return;
    if (list.n) act(w, &list, all ? NULL : yyjson_arr_get(list.rows, pick % list.n), name, retry);
    yyjson_doc_free(list.doc);
}

void user_letters_free(world_t *w)
{
    size_t pos = 0;
    for (known_t *k; (k = map_next(&w->letters, &pos));) free(k);
    map_free(&w->letters);
    map_free(&w->letters_gone);
}
