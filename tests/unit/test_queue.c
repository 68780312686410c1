// needs: common
// Queue: order, bound, and when whoever waits is woken.
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/queue.h"

static bool is_readable(const queue_t *q)
{
    struct pollfd fd = {queue_fd(q), POLLIN, 0};
    return poll(&fd, 1, 0) == 1;
}

static void messages_come_in_order_and_up_to_the_bound(void **state)
{
    (void)state;
    int m[200];
    void *all[200];
    queue_t *q = queue_new(150);
    for (int i = 0; i < 200; i++) all[i] = &m[i];
    assert_int_equal(queue_push(q, all[0]), 0);
    assert_int_equal(queue_push_all(q, all + 1, 99), 99);
    for (int i = 0; i < 40; i++) assert_ptr_equal(queue_pop(q), &m[i]);
    assert_int_equal(queue_push_all(q, all + 100, 100), 90); // full
    assert_int_equal(queue_push(q, all[199]), -1);
    assert_int_equal(queue_length(q), 150);
    for (int i = 40; i < 190; i++) assert_ptr_equal(queue_pop(q), &m[i]);
    assert_null(queue_pop(q));
    queue_destroy(&q, NULL);
}

static void it_is_readable_until_it_was_cleared(void **state)
{
    (void)state;
    int m[3];
    void *all[] = {&m[0], &m[1], &m[2]};
    queue_t *q = queue_new(10);
    assert_int_equal(queue_push_all(q, all, 0), 0);
    assert_false(is_readable(q));
    assert_int_equal(queue_push_all(q, all, 3), 3);
    assert_true(is_readable(q));
    queue_clear(q);
    assert_false(is_readable(q));
    while (queue_pop(q)) {
    }
    assert_int_equal(queue_push(q, &m[0]), 0);
    assert_true(is_readable(q)); // it was empty
    queue_destroy(&q, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_in_order_and_up_to_the_bound),
        cmocka_unit_test(it_is_readable_until_it_was_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
