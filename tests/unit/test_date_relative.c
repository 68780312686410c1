// needs: miner/read proto common
// Dates that are counted back from now, and that they are only taken where the template says so.
#include "common/civil.h"
#include "common/zone.h"
#include "miner/read/date_relative.h"
#include "tests/unit/reading.h"

#define NOW INT64_C(1784885445678) // Friday, 24 July 2026, 09:30:45.678 UTC

static char shown[40];

// "07-24 06:30", or "none".
static const char *moment(const char *text, const date_sense_t *sense)
{
    int64_t ms = date_relative(text, sense, NOW);
    if (ms == TIME_NONE) return "none";
    assert_true(ms % 60000 == 0 && ms <= NOW);
    civil_t day = civil_of(civil_floor(ms, CIVIL_DAY * 1000));
    snprintf(shown, sizeof shown, "%02d-%02d %02d:%02d", day.month, day.day, (int)(ms / 3600000 % 24),
             (int)(ms / 60000 % 60));
    return shown;
}

static void check(const char *const cases[][2], size_t n, const date_sense_t *sense)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(moment(cases[i][0], sense), cases[i][1]) != 0)
            fail_msg("%s: %s, not %s", cases[i][0], moment(cases[i][0], sense), cases[i][1]);
}
#define CHECK_CASES(cases, sense) check(cases, sizeof(cases) / sizeof *(cases), sense)

static void amounts(void **state)
{
    (void)state;
    static const date_sense_t utc;
    static const char *const cases[][2] = {
        {"3 hours ago", "07-24 06:30"},
        {" 1 Hour  Ago ", "07-24 08:30"},
        {"an hour ago", "07-24 08:30"},
        {"a minute ago", "07-24 09:29"},
        {"5 minutes ago", "07-24 09:25"},
        {"less than a minute ago", "07-24 09:29"},
        {"about 2 hours ago", "07-24 07:30"},
        {"a few seconds ago", "07-24 09:30"},
        {"45 seconds ago", "07-24 09:30"},
        {"46 seconds ago", "07-24 09:29"},
        {"just now", "07-24 09:30"},
        {"a moment ago", "07-24 09:30"},
        {"2 days ago", "07-22 09:30"},
        {"1 week ago", "07-17 09:30"},
        {"1 day, 2 hours ago", "07-23 07:30"},
        {"2 days and 3 hours ago", "07-22 06:30"},
        {"1 month ago", "06-24 09:30"},
        {"1 year ago", "07-24 09:30"},
        {"3h", "07-24 06:30"},
        {"3 h", "07-24 06:30"},
        {"5m", "07-24 09:25"},
        {"5 min.", "07-24 09:25"},
        {"1h 30m ago", "07-24 08:00"},
        {"2d", "07-22 09:30"},
        {"~3 hours ago", "07-24 06:30"},
        {"vor 3 Stunden", "07-24 06:30"},
        {"vor einer Minute", "07-24 09:29"},
        {"vor 5 Min.", "07-24 09:25"},
        {"vor etwa 2 Tagen", "07-22 09:30"},
        {"il y a 3 heures", "07-24 06:30"},
        {"il y a une heure", "07-24 08:30"},
        {"Il y a quelques secondes", "07-24 09:30"},
        {"hace 3 horas", "07-24 06:30"},
        {"hace un día", "07-23 09:30"},
        {"há 3 horas", "07-24 06:30"},
        {"3 horas atrás", "07-24 06:30"},
        {"hace 2 sem.", "07-10 09:30"},
        {"il y a 2 j", "07-22 09:30"},
        {"för 3 timmar sedan", "07-24 06:30"},
        {"for 3 timer siden", "07-24 06:30"},
        {"3 tuntia sitten", "07-24 06:30"},
        {"3 saat önce", "07-24 06:30"},
        {"před 3 hodinami", "07-24 06:30"},
        {"acum 3 ore", "07-24 06:30"},
        {"3 órája", "07-24 06:30"},
        {"πριν από 3 ώρες", "07-24 06:30"},
        {"3 години тому", "07-24 06:30"},
        {"час назад", "07-24 08:30"},
        {"2 дня назад", "07-22 09:30"},
        {"3 jam yang lalu", "07-24 06:30"},
        {"3 giờ trước", "07-24 06:30"},
        {"3 घंटे पहले", "07-24 06:30"},
        {"3 ชั่วโมงที่แล้ว", "07-24 06:30"},
        {"منذ ٣ ساعات", "07-24 06:30"},
        {"قبل ساعة", "07-24 08:30"},
        {"منذ ساعتين", "07-24 07:30"},
        {"לפני 3 שעות", "07-24 06:30"},
        {"לפני יומיים", "07-22 09:30"},
        {"3 ore fa", "07-24 06:30"},
        {"3 uur geleden", "07-24 06:30"},
        {"3 godziny temu", "07-24 06:30"},
        {"3 часа назад", "07-24 06:30"},
        {"5 минут назад", "07-24 09:25"},
        {"3 小时前", "07-24 06:30"},
        {"3小時前", "07-24 06:30"},
        {"5分钟前", "07-24 09:25"},
        {"3時間前", "07-24 06:30"},
        {"2日前", "07-22 09:30"},
        {"3시간 전", "07-24 06:30"},
        {"5분 전", "07-24 09:25"},
        // none
        {"in 3 hours", "none"},
        {"3 hours", "none"},
        {"hours ago", "none"},
        {"ago", "none"},
        {"3 ago", "08-03 00:00"}, // Spanish: of August
        {"3 4 hours ago", "none"},
        {"0 hours ago", "none"},
        {"123456 hours ago", "none"},
        {"by ann 3 hours ago", "none"},
        {"3 hours ago by ann", "none"},
        {"1.5 hours ago", "none"},
        {"today 3 hours ago", "none"},
        {"24 Jul 2026", "none"},
        {"", "none"},
        {"  ", "none"},
    };
    CHECK_CASES(cases, &utc);
}

static void days(void **state)
{
    (void)state;
    const char *why = "";
    date_sense_t utc = {.zone = NULL}, berlin = {.zoned = true}, tokyo = {.zoned = true};
    assert_int_equal(zone_shared("Europe/Berlin", &berlin.zone, &why), 0);
    assert_int_equal(zone_shared("Asia/Tokyo", &tokyo.zone, &why), 0);
    static const char *const in_utc[][2] = {
        {"today", "07-24 00:00"},
        {"Yesterday", "07-23 00:00"},
        {"Today, 08:15", "07-24 08:15"},
        {"Today 9:30 AM", "07-24 09:30"},
        {"Today, 9:30 pm", "none"}, // it lies ahead
        {"yesterday at 9:30 p.m.", "07-23 21:30"},
        {"Yesterday, 23:59:59", "07-23 23:59"},
        {"10:30 yesterday", "07-23 10:30"},
        {"heute, 08:15 Uhr", "07-24 08:15"},
        {"Gestern um 10:30", "07-23 10:30"},
        {"vorgestern", "07-22 00:00"},
        {"hier à 10:30", "07-23 10:30"},
        {"Aujourd'hui à 08:15", "07-24 08:15"},
        {"aujourd’hui", "07-24 00:00"},
        {"ayer a las 10:30", "07-23 10:30"},
        {"ontem às 10:30", "07-23 10:30"},
        {"ieri alle 10:30", "07-23 10:30"},
        {"Вчера в 10:30", "07-23 10:30"},
        {"сегодня, 08:15", "07-24 08:15"},
        {"昨天 10:30", "07-23 10:30"},
        {"今日 08:15", "07-24 08:15"},
        {"Yesterday · 10:30", "07-23 10:30"},
        {"i går kl. 12:30", "07-23 12:30"},
        {"hôm qua", "07-23 00:00"},
        {"أمس 10:30", "07-23 10:30"},
        // the latest of its name; 24 July is a Friday
        {"Thu 11:02", "07-23 11:02"},
        {"Friday at 8:02 AM", "07-24 08:02"},
        {"Friday at 11:02 AM", "07-17 11:02"},
        {"Montag, 11:02 Uhr", "07-20 11:02"},
        {"vendredi", "07-24 00:00"},
        {"09:30", "07-24 09:30"},
        {"20:41:08", "07-23 20:41"},
        {"9:41 PM", "07-23 21:41"},
        {"10.30", "none"},
        {"10", "none"},
        {"Thu Fri", "none"},
        {"Thu today", "none"},
        {"tomorrow", "none"},
        {"today yesterday", "none"},
        {"Today 25:00", "none"},
        {"Today 2024-05-05", "none"},
        {"Today 10", "none"},
        {"Today's weather", "none"},
        {"Today 08:15 CET", "none"},
        {"Today +3", "none"},
    };
    CHECK_CASES(in_utc, &utc);
    static const char *const in_berlin[][2] = {
        {"heute, 08:15", "07-24 06:15"}, {"gestern, 00:10", "07-22 22:10"}, {"vor 3 Stunden", "07-24 06:30"}};
    CHECK_CASES(in_berlin, &berlin);
    static const char *const in_tokyo[][2] = {{"今日 18:15", "07-24 09:15"}, {"昨日", "07-22 15:00"}};
    CHECK_CASES(in_tokyo, &tokyo);
}

static void days_without_a_year(void **state)
{
    (void)state;
    static const date_sense_t usual, day_first = {.order = DATE_ORDER_DMY},
                                     month_first = {.order = DATE_ORDER_YMD};
    static const char *const cases[][2] = {
        {"23 Jul", "07-23 00:00"},
        {"Jul 23, 3:20 PM", "07-23 15:20"},
        {"Thu, 23. Juli, 15:20 Uhr", "07-23 15:20"},
        {"24 Jul 09:30", "07-24 09:30"},
        {"24 Jul 10:30", "07-24 10:30"}, // of the year before
        {"31 Dec", "12-31 00:00"},
        {"7月23日 15:20", "07-23 15:20"},
        {"23.7.", "07-23 00:00"},
        {"23.07. 15:20", "07-23 15:20"},
        {"23.07", "none"},
        {"07-23", "none"},
        {"31 Jun", "none"},
        {"July", "none"},
        {"week 5", "none"},
        {"Page 3", "none"},
        {"23 Jul 10", "none"},
        {"3 Jul Jun", "none"},
    };
    CHECK_CASES(cases, &usual);
    static const char *const days_first[][2] = {
        {"05-07 15:20", "07-05 15:20"}, {"23/7", "07-23 00:00"}, {"07-23", "none"}};
    CHECK_CASES(days_first, &day_first);
    static const char *const months_first[][2] = {{"07-05 15:20", "07-05 15:20"}, {"07/23", "07-23 00:00"}};
    CHECK_CASES(months_first, &month_first);
    // the year: of 24 July 2026
    assert_true(date_relative("31 Dec", &usual, NOW) == INT64_C(1767139200000));
    assert_true(date_relative("1 Jan", &usual, NOW) == INT64_C(1767225600000));
}

// A feed's, which make no revision either.
static void of_feeds(void **state)
{
    (void)state;
    uint64_t hashes[2];
    reading_t r;
    reading_open(&r, "\"kind\":\"feed\",\"dates\":{\"relative\":true}");
    static const char *const words[] = {"3 hours ago", "4 hours ago"};
    for (int i = 0; i < 2; i++) {
        char feed[300];
        int n = snprintf(feed, sizeof feed,
                         "<rss><channel><item><title>A</title><pubDate>%s</pubDate></item></channel></rss>",
                         words[i]);
        document_t document = {.bytes = feed, .len = (size_t)n, .url = r.url, .fetched = NOW};
        assert_int_equal(reader_items(r.reader, r.arena, &document, &r.items), READ_OK);
        assert_true(r.items.items[0].published_ms == NOW / 60000 * 60000 - (3 + i) * 3600000);
        assert_non_null(strstr(r.items.items[0].fields, words[i]));
        hashes[i] = r.items.items[0].content_hash;
    }
    assert_true(hashes[0] == hashes[1]);
    reading_close(&r);
}

#define ITEMS \
    "\"kind\":\"html\",\"items\":\"li\",\"fields\":{\"title\":\"a\",\"url\":\"a\",\"published\":\"i\"}"

static int64_t published(const char *dates, int64_t fetched, uint64_t *hash)
{
    static const char page[] = "<li><a>A</a><i>3 hours ago</i>";
    char members[300];
    reading_t r;
    snprintf(members, sizeof members, ITEMS "%s,\"track\":[\"title\",\"published\"]", dates);
    reading_open(&r, members);
    document_t document = {.bytes = page, .len = sizeof page - 1, .url = r.url, .fetched = fetched};
    assert_int_equal(reader_items(r.reader, r.arena, &document, &r.items), READ_OK);
    assert_string_equal(r.items.items[0].fields, "{\"published\":\"3 hours ago\"}");
    int64_t ms = r.items.items[0].published_ms;
    *hash = r.items.items[0].content_hash;
    reading_close(&r);
    return ms;
}

static void where_the_template_says_so(void **state)
{
    (void)state;
    uint64_t hash, later;
    assert_true(published("", NOW, &hash) == TIME_NONE);
    assert_true(published(",\"dates\":{\"order\":\"dmy\"}", NOW, &hash) == TIME_NONE);
    assert_true(published(",\"dates\":{\"relative\":true}", 0, &hash) == TIME_NONE);
    assert_true(published(",\"dates\":{\"relative\":true}", NOW, &hash) == INT64_C(1784874600000));
    // later it is another moment, and no other version
    assert_true(published(",\"dates\":{\"relative\":true}", NOW + 7200000, &later) == INT64_C(1784881800000));
    assert_true(hash == later);
    reading_refused(ITEMS ",\"dates\":{\"relative\":\"yes\"}", "dates.relative", "true");
}

// What a selector gave is counted, also where it will be reckoned.
static void are_counted_as_matches(void **state)
{
    (void)state;
    static const char page[] = "<li><i>3 hours ago</i><li><i>soon</i><li><i>24 Jul 2026</i>";
    reading_t r;
    reading_open(
        &r,
        "\"items\":\"li\",\"fields\":{\"title\":\"i\",\"date\":[\"b\",\"i\"]},\"dates\":{\"relative\":true}");
    assert_int_equal(reading_text(&r, page), READ_OK);
    assert_int_equal(r.items.selector_matches[2], 0);
    assert_int_equal(r.items.selector_matches[3], 2);
    reading_close(&r);
}

static void of_detail_pages(void **state)
{
    (void)state;
    static const char page[] = "<i>3 hours ago</i>";
    reading_t r;
    item_t item;
    bool drop;
    reading_open(&r, ITEMS ",\"dates\":{\"relative\":true},\"detail\":{\"fields\":{\"date\":\"i\"}}");
    document_t document = {.bytes = page, .len = sizeof page - 1, .url = r.url, .fetched = NOW};
    assert_int_equal(reader_detail(r.reader, r.arena, &document, &item, &drop), READ_OK);
    assert_true(item.published_ms == INT64_C(1784874600000));
    reading_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts),
        cmocka_unit_test(days),
        cmocka_unit_test(days_without_a_year),
        cmocka_unit_test(of_feeds),
        cmocka_unit_test(where_the_template_says_so),
        cmocka_unit_test(are_counted_as_matches),
        cmocka_unit_test(of_detail_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
