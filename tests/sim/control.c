// Control: see the header.
#include "tests/sim/control.h"

#include <stdio.h>
#include <string.h>

#include "proto/template.h"
#include "tests/sim/edge.h"
#include "tests/sim/heard.h"
#include "tests/sim/policy.h"
#include "tests/sim/user_letters.h"
#include "tests/sim/user_next.h"
#include "tests/sim/user_tasks.h"

enum { GONE_MS = MINERS_KEEP_MS + 40000 }; // and they had been silent before

// -- asking ---------------------------------------------------------------------------------------------

yyjson_val *control_ask(world_t *w, const char *command, wire_arg_t *args, size_t n)
{
    yyjson_doc_free(w->answer);
    w->answer = NULL;
    w->refused = 0;
    w->cursor[0] = '\0';
    if (!w->broker || w->broker_away_until > w->now) return NULL;
    wire_request_t r = {.id = 1, .command = command};
    r.args.v = args, r.args.n = n;
    broker_message(w->broker, sim_instant(w), CTL_PEER, WIRE_TYPE_REQUEST, &r);
    return yyjson_doc_get_root(w->answer);
}

void control_answered(world_t *w, const wire_reply_t *reply)
{
    yyjson_doc_free(w->answer);
    w->answer = NULL;
    w->refused = reply->code;
    snprintf(w->cursor, sizeof w->cursor, "%s", reply->cursor);
    if (!reply->code) w->answer = yyjson_read(reply->json, strlen(reply->json), 0);
    if (w->trace && (reply->code || w->calm)) printf("  %s\n", reply->code ? reply->message : reply->json);
}

static void told_row(world_t *w, yyjson_val *row)
{
    if (yyjson_obj_get(row, "task") && yyjson_obj_get(row, "state")) user_tasks_told(w, row);
}

void control_told(world_t *w, const wire_reply_t *reply)
{
    yyjson_doc *doc = reply->code ? NULL : yyjson_read(reply->json, strlen(reply->json), 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *row;
    size_t i, n;
    if (yyjson_is_obj(root)) told_row(w, root);
    if (yyjson_obj_get(yyjson_arr_get_first(root), "count")) user_letters_told(w, root);
    yyjson_arr_foreach(root, i, n, row) told_row(w, row);
    yyjson_doc_free(doc);
}

int64_t row_number(yyjson_val *row, const char *name)
{
    return yyjson_get_sint(yyjson_obj_get(row, name));
}

const char *row_text(yyjson_val *row, const char *name)
{
    const char *s = yyjson_get_str(yyjson_obj_get(row, name));
    return s ? s : "";
}

int64_t control_now(world_t *w)
{
    return row_number(control_ask(w, "status", NULL, 0), "now_ms");
}

// -- templates --------------------------------------------------------------------------------------------

// They begin anew.
static void changed(world_t *w, int t)
{
    w->changed_at[t] = w->now;
    w->changed_due[t] = heard_now(w);
    for (int i = 0; i < w->n_pages; i++)
        if (w->pages[i].template == t) heard_release(&w->pages[i]);
}

void control_add(world_t *w, int t, bool replace)
{
    char json[16384], schedule[1500], policies[800];
    schedule_json(&w->when[t], w->every[t], schedule, sizeof schedule);
    policy_json(w, t, policies, sizeof policies);
    changed(w, t);
    int len = snprintf(json, sizeof json, "{\"name\": \"t%d\", \"kind\": \"feed\", %s%s\"urls\": [", t,
                       schedule, policies);
    for (int i = 0, first = 1; i < w->n_pages; i++) {
        if (w->pages[i].template != t) continue;
        len +=
            snprintf(json + len, sizeof json - (size_t)len, "%s\"%s\"", first ? "" : ", ", w->pages[i].url);
        first = 0;
    }
    snprintf(json + len, sizeof json - (size_t)len, "]}");
    wire_arg_t args[] = {{"template", json}, {"replace", replace ? "1" : ""}};
    if (control_ask(w, "add", args, 2)) w->off[t] = false;
}

void control_change(world_t *w)
{
    static const char *const commands[] = {"disable", "enable", "remove"};
    int t = (int)sim_random(w, (uint64_t)w->n_templates);
    char name[16];
    snprintf(name, sizeof name, "t%d", t);
    wire_arg_t args[] = {{"name", name}};
    if (w->poison >= 0 && w->pages[w->poison].template == t) w->poisoned = 0; // it gets another chance
    uint64_t what = sim_random(w, 4);
    changed(w, t);
    if (what == 3) {
        w->every[t] = 2000 + (int64_t)sim_random(w, SIM_EVERY_STEPS) * 1000;
        control_add(w, t, true);
    } else if (control_ask(w, commands[what], args, 1)) {
        w->off[t] = what != 1;
    }
}

// -- sources and tasks --------------------------------------------------------------------------------------

static void random_name(world_t *w, char *out, size_t size)
{
    if (sim_random(w, 2))
        snprintf(out, size, "t%d", (int)sim_random(w, (uint64_t)w->n_templates));
    else
        snprintf(out, size, "%016llx", (unsigned long long)w->pages[sim_random(w, (uint64_t)w->n_pages)].id);
}

// One source is polled out of turn: no fault, but it gets in the way of everything.
bool control_replay(world_t *w)
{
    char id[17];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)w->pages[sim_random(w, (uint64_t)w->n_pages)].id);
    wire_arg_t args[] = {{"source", id}};
    control_ask(w, "replay", args, 1);
    return w->broker != NULL;
}

// Sometimes for a time to come, by a deadline, of another priority, in front.
void control_trigger(world_t *w)
{
    char name[24], in_ms[24], deadline[24];
    wire_arg_t args[5] = {{"name", name}};
    size_t n = 1;
    int64_t in = sim_random(w, 2) ? (int64_t)sim_random(w, 30000) : 0;
    random_name(w, name, sizeof name);
    snprintf(in_ms, sizeof in_ms, "%lld", (long long)in);
    snprintf(deadline, sizeof deadline, "%lld", (long long)(in + 500 + (int64_t)sim_random(w, 20000)));
    if (in) args[n++] = (wire_arg_t){"in_ms", in_ms};
    if (sim_random(w, 3) == 0) args[n++] = (wire_arg_t){"deadline_in_ms", deadline};
    bool ahead = sim_random(w, 2);
    if (ahead) args[n++] = (wire_arg_t){"front", "1"};
    if (sim_random(w, 3) == 0)
        args[n++] = (wire_arg_t){"priority", priority_name((priority_t)sim_random(w, PRIORITY_CRITICAL + 1))};
    yyjson_val *task = control_ask(w, "trigger", args, n);
    if (task) user_tasks_gave(w, task, ahead);
    w->n_planned = 0;
}

static void cancel(world_t *w)
{
    char id[24];
    wire_arg_t args[] = {{"id", id}};
    sim_task_t *t = user_tasks_any(w);
    if (!t) return;
    t->cancelled = true;
    w->n_planned = 0;
    snprintf(id, sizeof id, "%llu", (unsigned long long)t->id);
    control_ask(w, "cancel", args, 1);
}

static void release(world_t *w)
{
    page_t *p = &w->pages[sim_random(w, (uint64_t)w->n_pages)];
    char id[24];
    wire_arg_t args[] = {{"name", id}};
    snprintf(id, sizeof id, "%016llx", (unsigned long long)p->id);
    if (control_ask(w, "enable", args, 1)) heard_release(p);
}

// Miners that are gone are shown for a while, and never beside one of their name that is there.
static void look_at_miners(world_t *w)
{
    yyjson_val *rows = control_ask(w, "miners", NULL, 0), *row, *other;
    size_t i, n, k, m;
    yyjson_arr_foreach(rows, i, n, row)
    {
        const char *name = row_text(row, "miner");
        bool gone = *row_text(row, "reason");
        if (gone && row_number(row, "heard_ms") > GONE_MS)
            sim_fail(w, "%s is gone for long and still shown", name);
        yyjson_arr_foreach(rows, k, m,
                           other) if (k < i && yyjson_equals_str(yyjson_obj_get(other, "miner"), name))
            sim_fail(w, "%s is shown twice", name);
    }
}

void control_look(world_t *w)
{
    if (!w->curious) return;
    user_tasks_look(w);
    user_letters_look(w);
    look_at_miners(w);
}

bool control_deal(world_t *w)
{
    if (!w->curious) return false;
    control_look(w);
    switch (sim_random(w, 7)) {
    case 0: cancel(w); break;
    case 1: release(w); break;
    case 2:
    case 3: user_next_burst(w); break;
    default: user_letters_act(w);
    }
    return true;
}

void control_explain(world_t *w, const page_t *p)
{
    char id[24];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)p->id);
    wire_arg_t args[] = {{"source", id}};
    if (w->trace) control_ask(w, "explain", args, 1);
}
