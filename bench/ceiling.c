// needs: common
// bench-ceiling URL CONCURRENCY SECONDS [unchanged]: pages a second of a bare loop of curl_multi and lexbor
// on one thread: fetch, parse, find the items of a Hacker News listing and copy their id, title, link and
// points. Nothing else: no polls, no batches, no bounds. What the miner's worker is measured against.
// unchanged: the requests are conditional, and there is nothing to read, as nothing has changed.
#include <curl/curl.h>
#include <lexbor/css/css.h>
#include <lexbor/html/html.h>
#include <lexbor/selectors/selectors.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"

enum { MAX_BODY = 8 << 20, EVENTS = 64 };

typedef struct {
    CURL *easy;
    buf_t body;
} transfer_t;

typedef struct {
    CURLM *multi;
    int epoll;
    int64_t deadline; // ms
    lxb_html_document_t *document;
    lxb_selectors_t *outer, *inner; // a search within a search needs an object of its own
    lxb_css_selector_list_t *items, *link, *score;
    buf_t found; // of one page: the copied texts
    unsigned long pages, n_items;
    struct curl_slist *conditions; // NULL: pages are read
} loop_t;

// -- reading --------------------------------------------------------------------------------------

static lxb_css_selector_list_t *compile(lxb_css_parser_t *parser, const char *text)
{
    lxb_css_selector_list_t *list = lxb_css_selectors_parse(parser, (const lxb_char_t *)text, strlen(text));
    CHECK(list != NULL);
    return list;
}

static void start_lexbor(loop_t *l)
{
    lxb_css_parser_t *parser = lxb_css_parser_create();
    CHECK(lxb_css_parser_init(parser, NULL) == LXB_STATUS_OK);
    l->outer = lxb_selectors_create();
    l->inner = lxb_selectors_create();
    CHECK(lxb_selectors_init(l->outer) == LXB_STATUS_OK && lxb_selectors_init(l->inner) == LXB_STATUS_OK);
    l->items = compile(parser, "tr.athing");
    l->link = compile(parser, "span.titleline > a");
    l->score = compile(parser, ".score");
    l->document = lxb_html_document_create();
}

static lxb_status_t keep_first(lxb_dom_node_t *node, lxb_css_selector_specificity_t spec, void *context)
{
    (void)spec;
    *(lxb_dom_node_t **)context = node;
    return LXB_STATUS_STOP;
}

static lxb_dom_node_t *first(loop_t *l, lxb_dom_node_t *root, const lxb_css_selector_list_t *list)
{
    lxb_dom_node_t *found = NULL;
    lxb_selectors_find(l->inner, root, list, keep_first, &found);
    return found;
}

static void copy(loop_t *l, const lxb_char_t *text, size_t len)
{
    if (text) CHECK(buf_append(&l->found, text, len) == 0 && buf_append(&l->found, "", 1) == 0);
}

static void copy_attribute(loop_t *l, lxb_dom_node_t *node, const char *name)
{
    size_t len = 0;
    const lxb_char_t *value = lxb_dom_element_get_attribute(lxb_dom_interface_element(node),
                                                            (const lxb_char_t *)name, strlen(name), &len);
    copy(l, value, len);
}

static void copy_text(loop_t *l, lxb_dom_node_t *node)
{
    size_t len = 0;
    lxb_char_t *text = lxb_dom_node_text_content(node, &len);
    copy(l, text, len);
    lxb_dom_document_destroy_text(node->owner_document, text);
}

static lxb_status_t read_item(lxb_dom_node_t *item, lxb_css_selector_specificity_t spec, void *context)
{
    loop_t *l = context;
    (void)spec;
    copy_attribute(l, item, "id");
    lxb_dom_node_t *link = first(l, item, l->link), *next = item->next, *score = NULL;
    if (link) copy_text(l, link), copy_attribute(l, link, "href");
    while (next && next->type != LXB_DOM_NODE_TYPE_ELEMENT) next = next->next;
    if (next) score = first(l, next, l->score);
    if (score) copy_text(l, score);
    l->n_items++;
    return LXB_STATUS_OK;
}

static void read_page(loop_t *l, const buf_t *body)
{
    buf_reset(&l->found);
    lxb_html_document_clean(l->document);
    CHECK(lxb_html_document_parse(l->document, (const lxb_char_t *)body->data, body->len) == LXB_STATUS_OK);
    lxb_selectors_find(l->outer, lxb_dom_interface_node(l->document), l->items, read_item, l);
    l->pages++;
}

// -- fetching -------------------------------------------------------------------------------------

static size_t on_body(char *bytes, size_t size, size_t n, void *context)
{
    return buf_append(context, bytes, size * n) ? 0 : size * n;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    loop_t *l = context;
    (void)easy;
    struct epoll_event event = {.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) |
                                          (what & CURL_POLL_OUT ? EPOLLOUT : 0u),
                                .data.fd = fd};
    if (what == CURL_POLL_REMOVE) return epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL), 0;
    curl_multi_assign(l->multi, fd, l);
    return epoll_ctl(l->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event), 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    ((loop_t *)context)->deadline = timeout_ms < 0 ? INT64_MAX : clock_mono_ms() + timeout_ms;
    return 0;
}

static void start_transfers(loop_t *l, transfer_t *transfers, int n, const char *url)
{
    l->multi = curl_multi_init();
    curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
    curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
    for (int i = 0; i < n; i++) {
        transfer_t *t = &transfers[i];
        buf_init(&t->body, MAX_BODY);
        t->easy = curl_easy_init();
        curl_easy_setopt(t->easy, CURLOPT_URL, url);
        curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
        curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(t->easy, CURLOPT_ACCEPT_ENCODING, "");
        curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
        curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, &t->body);
        if (l->conditions) curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, l->conditions);
        curl_multi_add_handle(l->multi, t->easy);
    }
}

static void finish_page(loop_t *l, transfer_t *t)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    CHECK(status == (l->conditions ? 304 : 200));
    if (l->conditions)
        l->pages++;
    else
        read_page(l, &t->body);
    buf_reset(&t->body);
}

static void finish_transfers(loop_t *l)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(l->multi, &left));) {
        transfer_t *t = NULL;
        CHECK(m->data.result == CURLE_OK);
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        curl_multi_remove_handle(l->multi, t->easy);
        finish_page(l, t);
        curl_multi_add_handle(l->multi, t->easy);
    }
}

static void turn(loop_t *l)
{
    struct epoll_event events[EVENTS];
    int running;
    int64_t left = l->deadline == INT64_MAX ? 1000 : l->deadline - clock_mono_ms();
    int n = epoll_wait(l->epoll, events, EVENTS, left < 0 ? 0 : (int)left);
    for (int i = 0; i < n; i++) {
        int what = (events[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
        curl_multi_socket_action(l->multi, events[i].data.fd, what, &running);
    }
    if (l->deadline <= clock_mono_ms()) {
        l->deadline = INT64_MAX;
        curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    finish_transfers(l);
}

int main(int argc, char **argv)
{
    bool unchanged = argc == 5 && !strcmp(argv[4], "unchanged");
    if (argc != 4 && !unchanged) {
        fprintf(stderr, "usage: bench-ceiling URL CONCURRENCY SECONDS [unchanged]\n");
        return 2;
    }
    int n = atoi(argv[2]);
    int64_t us = (int64_t)(atof(argv[3]) * 1e6);
    loop_t l = {.epoll = epoll_create1(EPOLL_CLOEXEC), .deadline = INT64_MAX};
    transfer_t *transfers = xcalloc((size_t)n, sizeof *transfers);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    buf_init(&l.found, MAX_BODY);
    start_lexbor(&l);
    if (unchanged) {
        l.conditions = curl_slist_append(NULL, "If-None-Match: \"64a7f1c2-1b2e\"");
        l.conditions = curl_slist_append(l.conditions, "If-Modified-Since: Tue, 24 Nov 2026 09:00:00 GMT");
    }
    start_transfers(&l, transfers, n, argv[1]);
    while (l.pages < (unsigned long)n) turn(&l); // connections and caches are warm from here
    int64_t start = clock_mono_us(), cpu = clock_thread_cpu_us();
    unsigned long before = l.pages, items = l.n_items;
    while (clock_mono_us() - start < us) turn(&l);
    double seconds = (double)(clock_mono_us() - start) / 1e6, pages = (double)(l.pages - before);
    printf("{\"pages_per_s\": %.1f, \"items_per_page\": %.2f, \"cpu_us_per_page\": %.1f}\n", pages / seconds,
           (double)(l.n_items - items) / pages, (double)(clock_thread_cpu_us() - cpu) / pages);
    return 0;
}
