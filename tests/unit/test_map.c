// needs: common
// Maps, held against a plain array.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/map.h"

enum { KEYS = 300000 };

static uint64_t random_below(uint64_t *state, uint64_t below)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (*state >> 33) % below;
}

static void check(const map_t *m, char **has, uint64_t keys)
{
    size_t n = 0, pos = 0, walked = 0;
    for (uint64_t k = 0; k < keys; k++) {
        assert_ptr_equal(map_get(m, k), has[k]);
        n += has[k] != NULL;
    }
    assert_int_equal(m->count, n);
    for (char *v; (v = map_next(m, &pos)); walked++) assert_ptr_equal(has[map_key(m, pos)], v);
    assert_int_equal(walked, n);
}

static void it_holds_what_was_put(void **state)
{
    (void)state;
    static char values[64];
    char **has = xcalloc(KEYS, sizeof *has);
    uint64_t random = 1, keys = 10;
    map_t m;
    map_init(&m);
    for (int i = 0; i < 1200000; i++) {
        if (i % 4 == 0 && keys < KEYS) keys++;
        uint64_t key = random_below(&random, keys);
        char *value = random_below(&random, 4) ? &values[random_below(&random, 64)] : NULL;
        void *before = value ? map_put(&m, key, value) : map_del(&m, key);
        assert_ptr_equal(before, has[key]);
        has[key] = value;
        if (i % 100000 == 0) check(&m, has, keys);
    }
    check(&m, has, keys);
    for (uint64_t k = 0; k < KEYS; k++) map_del(&m, k);
    assert_int_equal(m.count, 0);
    map_free(&m);
    free(has);
}

static void it_is_cleared(void **state)
{
    (void)state;
    char value;
    map_t m;
    map_init(&m);
    map_clear(&m);
    for (uint64_t keys = 1; keys < 1000; keys *= 3) {
        for (uint64_t k = 0; k < keys; k++) {
            void **at = map_at(&m, k);
            assert_null(*at);
            *at = &value;
            assert_ptr_equal(*map_at(&m, k), &value);
        }
        assert_int_equal(m.count, keys);
        map_clear(&m);
        assert_int_equal(m.count, 0);
        for (uint64_t k = 0; k < keys; k++) assert_null(map_get(&m, k));
    }
    map_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_holds_what_was_put),
                                       cmocka_unit_test(it_is_cleared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
