// Date, relative: words are looked up one by one; one that is unknown makes the whole text none.
#include "miner/read/date_relative.h"

#include <stdio.h>
#include <string.h>

#include "common/civil.h"
#include "miner/read/date_words.h"
#include "miner/read/dates.h"

enum { MAX_TEXT = 120, MAX_DIGITS = 5 };
enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR, WEEK = 7 * DAY, MONTH = 30 * DAY, YEAR = 365 * DAY };

typedef enum {
    AGO,      // what was counted lies back
    UNIT,     // seconds
    SHORT,    // the same, which needs no AGO: "3h"
    UNIT_AGO, // both in one word
    ONE,      // "an hour", "il y a": a count, if none follows
    FILLER,
    DAYS, // a day, so many before today
} word_kind_t;

// Folded: lower case, Latin letters without marks.
static const struct {
    word_kind_t kind;
    int value;
    const char *words; // each between two spaces
} meanings[] = {
    {AGO, 0, " ago vor hace ha fa geleden temu il назад 전 "},
    {SHORT, 1, " s sec secs "},
    {SHORT, MINUTE, " m min mins мин "},
    {SHORT, HOUR, " h hr hrs std "},
    {SHORT, DAY, " d "},
    {SHORT, WEEK, " w wk "},
    {SHORT, MONTH, " mo "},
    {SHORT, YEAR, " yr yrs "},
    {UNIT, 0, " moment moments "},
    {UNIT, 1,
     " second seconds sekunde sekunden secondes segundo segundos secondo secondi seconden sekund sekundy "
     "секунд секунду секунды 초 "},
    {UNIT, MINUTE,
     " minute minutes minuten minuto minutos minuti minuut minut minuty минут минуту минуты 분 "},
    {UNIT, HOUR,
     " hour hours stunde stunden heure heures hora horas ora ore uur uren godzine godziny godzin час часа"
     " часов 시간 "},
    {UNIT, DAY,
     " day days tag tage tagen jour jours dia dias giorno giorni dag dagen dzien dni день дня дней 일 "},
    {UNIT, WEEK,
     " week weeks woche wochen semaine semaines semana semanas settimana settimane weken tydzien tygodnie "
     "неделю недели недель 주 "},
    {UNIT, MONTH,
     " month months monat monate monaten mois mes meses mese mesi maand maanden miesiac miesiace miesiecy "
     "месяц месяца месяцев 개월 "},
    {UNIT, YEAR, " year years jahr jahre jahren ans ano anos anno anni jaar rok lata lat год года лет 년 "},
    {UNIT_AGO, 1, " 秒前 秒钟前 초전 "},
    {UNIT_AGO, MINUTE, " 分前 分钟前 分鐘前 분전 "},
    {UNIT_AGO, HOUR, " 時間前 小时前 小時前 시간전 "},
    {UNIT_AGO, DAY, " 日前 天前 일전 "},
    {UNIT_AGO, WEEK, " 週間前 周前 週前 주전 "},
    {UNIT_AGO, MONTH, " か月前 ヶ月前 ヵ月前 个月前 個月前 개월전 "},
    {UNIT_AGO, YEAR, " 年前 년전 "},
    {DAYS, 0, " today heute aujourd aujourd’hui hoy hoje oggi vandaag dzisiaj dzis сегодня 今天 今日 오늘 "},
    {DAYS, 1, " yesterday gestern hier ayer ontem ieri gisteren wczoraj вчера 昨天 昨日 어제 "},
    {DAYS, 2, " vorgestern anteayer anteontem eergisteren przedwczoraj позавчера 前天 一昨日 그저께 "},
    {ONE, 1,
     " a an few ein eine einer einem einen paar un une quelques una unos um uma een kilka несколько "},
    {FILLER, 0,
     " about around almost over less more than circa etwa environ aproximadamente около and und et y hui at"
     " om as las alle в o "},
};
static const char *const right_now[] = {"now",   "just now", "right now", "gerade eben", "jetzt",
                                        "ahora", "agora",    "adesso",    "zojuist",     "только что",
                                        "刚刚",  "剛剛",     "たった今",  "방금"};

// What has been counted so far.
typedef struct {
    int64_t back;  // seconds
    int64_t count; // that waits for its unit; 0: none
    bool given;    // the count stands in digits
    bool counted, ago, brief;
} relative_t;

static bool is_word_byte(unsigned char c)
{
    return c >= 0x80 || (c >= 'a' && c <= 'z');
}

static bool find(const char *word, size_t len, word_kind_t *kind, int *value)
{
    char spaced[MAX_TEXT + 3];
    snprintf(spaced, sizeof spaced, " %.*s ", (int)len, word);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (!strstr(meanings[i].words, spaced)) continue;
        *kind = meanings[i].kind;
        *value = meanings[i].value;
        return true;
    }
    return false;
}

static bool take_unit(relative_t *r, int seconds)
{
    if (!r->count) return false;
    r->back += r->count * seconds;
    if (r->back > 200 * (int64_t)YEAR) return false;
    r->count = 0;
    r->given = false;
    return r->counted = true;
}

static bool take_word(relative_t *r, const char *word, size_t len)
{
    word_kind_t kind;
    int value;
    if (!find(word, len, &kind, &value)) return false;
    switch (kind) {
    case AGO: return r->ago = true;
    case SHORT: return r->brief = true, take_unit(r, value);
    case UNIT: return take_unit(r, value);
    case UNIT_AGO: return r->ago = true, take_unit(r, value);
    case ONE:
        if (!r->given) r->count = 1;
        return true;
    case DAYS: return false;
    case FILLER: break;
    }
    return true;
}

static bool take_number(relative_t *r, const char *digits, size_t len)
{
    if (len > MAX_DIGITS || r->given) return false;
    r->count = 0;
    for (size_t i = 0; i < len; i++) r->count = r->count * 10 + (digits[i] - '0');
    r->given = true;
    return r->count > 0;
}

// "3 hours", "2 days and 4 hours".
static bool take_amounts(relative_t *r, const char *text)
{
    for (size_t n; *text; text += n) {
        n = 0;
        while (text[n] >= '0' && text[n] <= '9') n++;
        if (n && !take_number(r, text, n)) return false;
        if (n) continue;
        while (is_word_byte((unsigned char)text[n])) n++;
        if (n && !take_word(r, text, n)) return false;
        if (n == 0 && !strchr(" ,.~", text[n++])) return false;
    }
    return r->counted && !r->count && (r->ago || r->brief);
}

// -- days -----------------------------------------------------------------------------------------

// "am", "pm", "a.m.": the length, or 0.
static size_t half_of_day(const char *text)
{
    if (text[0] != 'a' && text[0] != 'p') return 0;
    size_t n = text[1] == '.' ? 3 : 2;
    if (text[n - 1] != 'm' || is_word_byte((unsigned char)text[n])) return 0;
    return n + (n == 3 && text[n] == '.');
}

// The day's name, and what stands beside it as the time of a day of 2000; false: something else is there,
// too.
static bool split_day(const char *text, int *days, char *time, size_t size)
{
    size_t at = (size_t)snprintf(time, size, "2000-01-01 ");
    *days = -1;
    for (size_t n; *text; text += n) {
        word_kind_t kind;
        int value;
        n = half_of_day(text);
        if (n) {
            at += (size_t)snprintf(time + at, size - at, " %cm", *text);
            continue;
        }
        while (is_word_byte((unsigned char)text[n])) n++;
        if (n == 0) {
            n = 1;
            if (!strchr("0123456789: ,.'", *text)) return false;
            if (*text != ',' && *text != '\'') time[at++] = *text, time[at] = '\0';
            continue;
        }
        bool known = find(text, n, &kind, &value);
        if (known && kind == DAYS && *days < 0)
            *days = value;
        else if ((!known || (kind != FILLER && kind != ONE)) && strncmp(text, "uhr", n) != 0)
            return false;
    }
    return *days >= 0;
}

static int64_t moment_of_day(const char *text, const date_sense_t *sense, int64_t now)
{
    static const int64_t day_of_2000 = INT64_C(946684800000);
    char time[2 * MAX_TEXT + 20];
    int days;
    if (!split_day(text, &days, time, sizeof time)) return TIME_NONE;
    int64_t ms = date_parse(time, strlen(time), NULL);
    if (ms < day_of_2000 || ms >= day_of_2000 + (int64_t)DAY * 1000) return TIME_NONE;
    int64_t today = civil_floor(zone_local(sense->zone, now / 1000), DAY);
    return zone_instant(sense->zone, (today - days) * DAY + (ms - day_of_2000) / 1000) * 1000;
}

int64_t date_relative(const char *text, const date_sense_t *sense, int64_t now)
{
    char folded[MAX_TEXT + 4], *start = folded;
    size_t n = strlen(text) <= MAX_TEXT ? date_fold(text, strlen(text), folded, sizeof folded - 1) : 0;
    while (n && folded[n - 1] == ' ') n--;
    folded[n] = '\0';
    while (*start == ' ') start++;
    if (!*start) return TIME_NONE;
    relative_t r = {0};
    int64_t ms = TIME_NONE;
    for (size_t i = 0; i < sizeof right_now / sizeof *right_now; i++)
        if (strcmp(start, right_now[i]) == 0) ms = now;
    if (ms == TIME_NONE)
        ms = take_amounts(&r, start) ? now - r.back * 1000 : moment_of_day(start, sense, now);
    return ms == TIME_NONE || ms > now ? TIME_NONE : civil_floor(ms, MINUTE * 1000) * MINUTE * 1000;
}
