// needs: common
// Zones: against what the C library makes of the same files; gaps and overlaps; files that are none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/civil.h"
#include "common/zone.h"

static const char *const names[] = {
    "Europe/Berlin", "America/New_York",  "Australia/Lord_Howe", "Pacific/Apia",   "Asia/Tokyo",
    "Europe/Dublin", "Africa/Casablanca", "America/Sao_Paulo",   "Asia/Kathmandu", "Antarctica/Troll",
    "UTC",           "Etc/GMT+12",        "America/Nuuk",        "Asia/Gaza"};
enum { NAMES = sizeof names / sizeof *names };

static zone_t *load(const char *name)
{
    const char *error;
    zone_t *z = zone_load(name, &error);
    if (!z) fail_msg("%s: %s", name, error);
    return z;
}

static int64_t at(int year, int month, int day, int hour, int minute)
{
    return civil_days(year, month, day) * CIVIL_DAY + hour * 3600 + minute * 60;
}

static uint64_t seed = 1;
static uint64_t any(uint64_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (seed >> 33) % below;
}

static void as_the_c_library_has_it(void **state)
{
    (void)state;
    int64_t from = at(1900, 1, 1, 0, 0), to = at(2199, 12, 31, 0, 0);
    for (int n = 0; n < NAMES; n++) {
        zone_t *z = load(names[n]);
        setenv("TZ", names[n], 1);
        tzset();
        for (int i = 0; i < 2000; i++) {
            time_t t = from + (int64_t)(any(1 << 30) * (uint64_t)(to - from) >> 30);
            if (i % 4 == 0 && zone_next_change(z, t) != ZONE_NEVER)
                t = zone_next_change(z, t) + (int64_t)any(5) - 2; // around a change
            struct tm tm;
            localtime_r(&t, &tm);
            int64_t wall = zone_local(z, t);
            if (wall - t != tm.tm_gmtoff)
                fail_msg("%s at %lld: offset %lld, not %ld", names[n], (long long)t, (long long)(wall - t),
                         tm.tm_gmtoff);
            int64_t back = zone_instant(z, wall); // the first time that it is shown
            assert_true(back <= t && zone_local(z, back) == wall);
            assert_true(zone_shown(z, t) >= wall && zone_instant(z, zone_shown(z, t)) <= t);
            assert_true(zone_instant(z, zone_shown(z, t) + 1) > t);
        }
        zone_destroy(&z);
    }
    unsetenv("TZ");
    tzset();
}

static void skipped_and_repeated_times(void **state)
{
    (void)state;
    zone_t *z = load("Europe/Berlin");
    assert_int_equal(zone_instant(z, at(2024, 3, 31, 1, 59)), at(2024, 3, 31, 0, 59));
    assert_int_equal(zone_instant(z, at(2024, 3, 31, 2, 30)), at(2024, 3, 31, 1, 0)); // skipped
    assert_int_equal(zone_instant(z, at(2024, 3, 31, 3, 0)), at(2024, 3, 31, 1, 0));
    assert_int_equal(zone_instant(z, at(2024, 10, 27, 2, 30)), at(2024, 10, 27, 0, 30)); // twice: the first
    assert_int_equal(zone_instant(z, at(2024, 10, 27, 3, 0)), at(2024, 10, 27, 2, 0));
    assert_int_equal(zone_shown(z, at(2024, 10, 27, 1, 30)), at(2024, 10, 27, 3, 0) - 1);
    assert_int_equal(zone_next_change(z, at(2024, 6, 1, 0, 0)), at(2024, 10, 27, 1, 0));
    assert_int_equal(zone_last_change(z, at(2024, 6, 1, 0, 0)), at(2024, 3, 31, 1, 0));
    zone_destroy(&z);
    z = load("Australia/Lord_Howe"); // half an hour
    assert_int_equal(zone_instant(z, at(2024, 10, 6, 2, 15)), at(2024, 10, 5, 15, 30));
    assert_int_equal(zone_local(z, at(2024, 10, 5, 15, 30)), at(2024, 10, 6, 2, 30));
    zone_destroy(&z);
    z = load("Pacific/Apia"); // there was no 30 December 2011
    assert_int_equal(zone_instant(z, at(2011, 12, 30, 12, 0)), zone_instant(z, at(2011, 12, 31, 0, 0)));
    zone_destroy(&z);
    assert_int_equal(zone_local(NULL, 5), 5);
    assert_int_equal(zone_instant(NULL, 5), 5);
    assert_true(zone_next_change(NULL, 5) == ZONE_NEVER);
}

static void names_that_lead_elsewhere(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/etc/passwd",
                                      "../../../etc/passwd",
                                      "Europe/../UTC",
                                      "Europe",
                                      "Europe/",
                                      "Europe/Atlantis",
                                      "Europe//Berlin",
                                      "a b",
                                      "zone.tab",
                                      "UTC\n",
                                      "leapseconds",
                                      "%s%n",
                                      "C:UTC"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *error = NULL;
        assert_null(zone_load(bad[i], &error));
        assert_non_null(error);
    }
}

// -- files that nobody wrote well -----------------------------------------------------------------------

static size_t read_system(const char *name, uint8_t *out, size_t size)
{
    char path[100];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, size, f);
    fclose(f);
    return n;
}

static void damaged_files(void **state)
{
    (void)state;
    static uint8_t whole[8192], bytes[8192];
    for (int n = 0; n < NAMES; n++) {
        size_t len = read_system(names[n], whole, sizeof whole);
        for (int i = 0; i < 3000; i++) {
            size_t cut = any(4) ? len : any(len);
            memcpy(bytes, whole, len);
            for (uint64_t k = any(6); k > 0; k--) bytes[any(len)] = (uint8_t)any(256);
            uint8_t *exact = malloc(cut + 1); // so that a sanitizer sees what is read beyond
            memcpy(exact, bytes, cut);
            const char *error = NULL;
            zone_t *z = zone_parse(exact, cut, &error);
            if (z) {
                int64_t t = (int64_t)any(1LL << 31) - (1 << 30);
                assert_true(zone_instant(z, zone_shown(z, t)) <= t &&
                            zone_instant(z, zone_shown(z, t) + 1) > t);
                zone_destroy(&z);
            } else {
                assert_non_null(error);
            }
            free(exact);
        }
    }
}

// A file of version 2 with one type (UTC) and a footer.
static zone_t *with_footer(const char *footer, const char **error)
{
    uint8_t file[400] = {0};
    size_t at_byte = 0;
    for (int block = 0; block < 2; block++) {
        memcpy(file + at_byte, "TZif2", 5);
        file[at_byte + 39] = 1; // typecnt
        file[at_byte + 43] = 4; // charcnt
        memcpy(file + at_byte + 44 + 6, "UTC", 4);
        at_byte += 44 + 10;
    }
    int n = snprintf((char *)file + at_byte, sizeof file - at_byte, "\n%s\n", footer);
    return zone_parse(file, at_byte + (size_t)n, error);
}

static void footers(void **state)
{
    (void)state;
    const char *error;
    static const struct {
        const char *footer;
        int64_t instant, offset;
    } good[] = {{"", 0, 0},
                {"CET-1CEST,M3.5.0,M10.5.0/3", 1720000000, 7200},
                {"CET-1CEST,M3.5.0,M10.5.0/3", 1700000000, 3600},
                {"<+0330>-3:30<+0430>,J79/24,J263/24", 1720000000, 16200},
                {"IST-1GMT0,M10.5.0,M3.5.0/1", 1700000000, 0}, // summer time below zero
                {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1720000000, -3600},
                {"XXX3YYY,0,364/23", 1720000000, -7200}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        zone_t *z = with_footer(good[i].footer, &error);
        if (!z) fail_msg("%s: %s", good[i].footer, error);
        assert_int_equal(zone_local(z, good[i].instant) - good[i].instant, good[i].offset);
        zone_destroy(&z);
    }
    static const char *const bad[] = {"CET",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.6.0,M10.5.0",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-1CEST,J0,J3",
                                      "CET-1CEST,M3.5.0/999,M10.5.0",
                                      "CET-99999999999999999999",
                                      "<CET-1",
                                      "CET-1CEST,M3.5.0,M10.5.0x",
                                      ",,,",
                                      "CET-1:60"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        zone_t *z = with_footer(bad[i], &error);
        if (z) fail_msg("%s was taken", bad[i]);
    }
}

static void calendar(void **state)
{
    (void)state;
    for (int64_t day = -800000; day < 800000; day += 1) {
        civil_t c = civil_of(day);
        assert_true(civil_days(c.year, c.month, c.day) == day);
        assert_true(c.month >= 1 && c.month <= 12 && c.day >= 1 &&
                    c.day <= civil_month_length(c.year, c.month));
    }
    assert_int_equal(civil_days(2000, 3, 1), 11017);
    assert_int_equal(civil_weekday(civil_days(2026, 11, 25)), 3);
    assert_int_equal(civil_weekday(-5), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_c_library_has_it),
        cmocka_unit_test(skipped_and_repeated_times),
        cmocka_unit_test(names_that_lead_elsewhere),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(footers),
        cmocka_unit_test(calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
