// needs: common
// Status over HTTP: before, while and after a process publishes, and requests that are none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/http_status.h"
#include "common/log.h"

enum { ANSWER_MAX = 512 << 10 };

// Sends request to the server, returns its whole answer in a static buffer.
static const char *ask(const http_status_t *status, const char *request)
{
    static char answer[ANSWER_MAX];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_status_port(status))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = 10};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    size_t n = 0;
    ssize_t got;
    while (n < sizeof answer - 1 && (got = recv(fd, answer + n, sizeof answer - 1 - n, 0)) > 0)
        n += (size_t)got;
    answer[n] = '\0';
    close(fd);
    return answer;
}

static const char *get(const http_status_t *status, const char *path)
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    return ask(status, request);
}

static bool is(const char *answer, const char *code, const char *body)
{
    const char *space = strchr(answer, ' '), *end = strstr(answer, "\r\n\r\n");
    return space && end && !strncmp(space + 1, code, 3) && !strcmp(end + 4, body);
}

static http_status_t *serve(int64_t stall_ms)
{
    char err[200] = "";
    http_status_t *status = http_status_new("127.0.0.1:0", stall_ms, err, sizeof err);
    assert_non_null(status);
    assert_int_not_equal(http_status_port(status), 0);
    return status;
}

static void serves_what_was_published_last(void **state)
{
    (void)state;
    http_status_t *status = serve(60000);
    assert_true(is(get(status, "/healthz"), "503", "starting\n"));
    http_status_publish(status, true, "ok", "rtm_up 1\n");
    assert_true(is(get(status, "/healthz"), "200", "ok\n"));
    assert_true(is(get(status, "/metrics"), "200", "rtm_up 1\n"));
    http_status_publish(status, false, "no sink", "rtm_up 0");
    assert_true(is(get(status, "/healthz"), "503", "no sink\n"));
    assert_true(is(get(status, "/metrics"), "200", "rtm_up 0\n"));
    http_status_destroy(&status);
    assert_null(status);
}

static void says_when_the_process_stalls(void **state)
{
    (void)state;
    http_status_t *status = serve(-1); // every publication is too old
    http_status_publish(status, true, "ok", "");
    assert_non_null(strstr(get(status, "/healthz"), " 503 "));
    assert_non_null(strstr(get(status, "/healthz"), "stalled"));
    http_status_destroy(&status);
}

static void refuses_other_requests(void **state)
{
    (void)state;
    http_status_t *status = serve(60000);
    http_status_publish(status, true, "ok", "");
    assert_non_null(strstr(get(status, "/"), " 404 "));
    assert_non_null(strstr(ask(status, "POST /healthz HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"), " 405 "));
    ask(status, "nonsense\r\n\r\n");
    assert_true(is(get(status, "/healthz"), "200", "ok\n"));
    http_status_destroy(&status);
}

static void cuts_long_texts_at_a_line(void **state)
{
    (void)state;
    http_status_t *status = serve(60000);
    size_t size = HTTP_STATUS_MAX + 1000;
    char *text = malloc(size + 1);
    for (size_t i = 0; i < size; i++) text[i] = i % 10 == 9 ? '\n' : 'x';
    text[size] = '\0';
    http_status_publish(status, true, "ok", text);
    const char *body = strstr(get(status, "/metrics"), "\r\n\r\n");
    assert_non_null(body);
    assert_int_equal(strlen(body + 4), HTTP_STATUS_MAX / 10 * 10);
    free(text);
    http_status_destroy(&status);
}

static void says_what_is_wrong_with_an_address(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "nonsense",    "127.0.0.1",
                                      "127.0.0.1:", "127.0.0.1:x", "1:2:3:123456"};
    char err[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err[0] = '\0';
        assert_null(http_status_new(bad[i], 1000, err, sizeof err));
        assert_true(strlen(err) > 0);
    }
    http_status_t *first = serve(1000);
    char taken[64];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", http_status_port(first));
    assert_null(http_status_new(taken, 1000, err, sizeof err));
    http_status_destroy(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_what_was_published_last),
        cmocka_unit_test(says_when_the_process_stalls),
        cmocka_unit_test(refuses_other_requests),
        cmocka_unit_test(cuts_long_texts_at_a_line),
        cmocka_unit_test(says_what_is_wrong_with_an_address),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
