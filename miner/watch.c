// Watch: one lock that two threads hardly ever want at once.
#include "miner/watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/failpoint.h"

struct watch {
    _Atomic int64_t turn; // monotonic ms
    pthread_mutex_t lock; // of subject
    watch_subject_t subject;
};

watch_t *watch_new(void)
{
    watch_t *w = xcalloc(1, sizeof *w);
    CHECK(pthread_mutex_init(&w->lock, NULL) == 0);
    atomic_store(&w->turn, clock_mono_ms());
    return w;
}

void watch_destroy(watch_t **watch)
{
    if (!*watch) return;
    pthread_mutex_destroy(&(*watch)->lock);
    free(*watch);
    *watch = NULL;
}

void watch_turn(watch_t *w, int64_t now)
{
    atomic_store_explicit(&w->turn, now, memory_order_relaxed);
}

void watch_begin(watch_t *w, const wire_outcome_t *poll, const char *template, const char *url)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    watch_subject_t *s = &w->subject;
    s->source = poll->source;
    s->due = poll->due;
    s->cause = poll->cause;
    s->attempt = poll->attempt;
    snprintf(s->template, sizeof s->template, "%s", template);
    snprintf(s->url, sizeof s->url, "%s", url);
    pthread_mutex_unlock(&w->lock);
    failpoint_hang("read", url);
    failpoint_on("poison", url);
}

void watch_end(watch_t *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->subject.source = 0;
    pthread_mutex_unlock(&w->lock);
}

int64_t watch_absent(watch_t *w, int64_t now)
{
    return now - atomic_load_explicit(&w->turn, memory_order_relaxed);
}

void watch_look(watch_t *w, watch_subject_t *subject)
{
    pthread_mutex_lock(&w->lock);
    *subject = w->subject;
    pthread_mutex_unlock(&w->lock);
}
