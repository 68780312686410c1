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
    ALONE,    // the same, and one of it where nothing was counted: "час назад"
    SHORT,    // the same as UNIT, which needs no AGO: "3h"
    UNIT_AGO, // both in one word
    ONE,      // "an hour", "il y a": a count, if none follows
    FILLER,
    DAYS,    // a day, so many before today
    WEEKDAY, // the latest one, 0 is Sunday
} word_kind_t;

// Folded: lower case, Latin and Greek letters without marks.
static const struct {
    word_kind_t kind;
    int value;
    const char *words; // each between two spaces
} meanings[] = {
    {AGO, 0,
     " ago vor hace ha fa atras geleden temu il назад тому 전 sedan siden sitten once pred acum ezelott lalu "
     "trước πριν منذ قبل לפני पहले "},
    {SHORT, 1, " s sec secs "},
    {SHORT, MINUTE, " m min mins мин хв dk "},
    {SHORT, HOUR, " h hr hrs std ч "},
    {SHORT, DAY, " d j "},
    {SHORT, WEEK, " w wk sem "},
    {SHORT, MONTH, " mo "},
    {SHORT, YEAR, " yr yrs "},
    {UNIT, 0, " moment moments "},
    {UNIT, 1,
     " second seconds sekunde sekunden secondes segundo segundos secondo secondi seconden sekund sekundy "
     "sekunder sekunti sekuntia sekundami sekundou secunde masodperccel saniye detik giay секунд секунды секунди "
     "δευτερολεπτα ثواني ثوان שניות सेकंड 초 "},
    {UNIT, MINUTE,
     " minute minutes minuten minuto minutos minuti minuut minut minuty minuter minutter minuttia minutami "
     "perccel dakika menit phut минут минуты хвилин хвилини λεπτα λεπτο دقائق דקות मिनट 분 "},
    {UNIT, HOUR,
     " hour hours stunde stunden heure heures hora horas ora ore uur uren godzine godziny godzin timme timmar "
     "time timer tunti tuntia hodinami hodin oraval saat jam giờ часа часов години годин ωρες ωρα ساعات שעות "
     "घंटे घंटा 시간 "},
    {UNIT, DAY,
     " day days tag tage tagen jour jours dia dias giorno giorni dag dagen dzien dni dagar dage dager paiva "
     "paivaa dny dnami dnu zile nappal gun hari ngay дня дней дні днів μερες ημερες μερα ημερα أيام ايام ימים "
     "दिन 일 "},
    {UNIT, WEEK,
     " week weeks woche wochen semaine semaines semana semanas settimana settimane weken tygodnie vecka veckor "
     "uke uker uge uger viikko viikkoa tydny saptamani hettel hafta minggu tuần недели недель тижні тижнів "
     "εβδομαδες εβδομαδα أسابيع שבועות हफ्ते 주 "},
    {UNIT, MONTH,
     " month months monat monate monaten mois mes meses mese mesi maand maanden miesiace miesiecy manad manader "
     "maned maneder kuukautta mesici luni honappal ay bulan thang месяца месяцев місяці місяців μηνες μηνα أشهر "
     "شهور חודשים महीने 개월 "},
    {UNIT, YEAR,
     " year years jahr jahre jahren ans ano anos anno anni jaar lata lat ar vuotta lety ani evvel yil tahun nam "
     "года лет роки років χρονια سنوات أعوام שנים साल 년 "},
    {ALONE, 1, " секунду ثانية "},
    {ALONE, MINUTE, " минуту хвилину minutou دقيقة דקה "},
    {ALONE, HOUR, " час годину hodinou ساعة שעה "},
    {ALONE, DAY, " день dnem يوم יום "},
    {ALONE, WEEK, " неделю тиждень tydzien tydnem أسبوع اسبوع שבוע "},
    {ALONE, MONTH, " месяц місяць miesiac mesicem شهر חודש "},
    {ALONE, YEAR, " год рік rok rokem سنة عام שנה "},
    {ALONE, 2 * MINUTE, " دقيقتين "},
    {ALONE, 2 * HOUR, " ساعتين שעתיים "},
    {ALONE, 2 * DAY, " يومين יומיים "},
    {ALONE, 2 * WEEK, " أسبوعين שבועיים "},
    {ALONE, 2 * MONTH, " شهرين חודשיים "},
    {ALONE, 2 * YEAR, " سنتين عامين שנתיים "},
    {UNIT_AGO, 1, " 秒前 秒钟前 초전 masodperce "},
    {UNIT_AGO, MINUTE, " 分前 分钟前 分鐘前 분전 perce นาทีที่แล้ว นาทีที่ผ่านมา "},
    {UNIT_AGO, HOUR, " 時間前 小时前 小時前 시간전 oraja ชั่วโมงที่แล้ว ชั่วโมงที่ผ่านมา "},
    {UNIT_AGO, DAY, " 日前 天前 일전 napja วันที่แล้ว วันที่ผ่านมา "},
    {UNIT_AGO, WEEK, " 週間前 周前 週前 주전 hete สัปดาห์ที่แล้ว สัปดาห์ที่ผ่านมา "},
    {UNIT_AGO, MONTH, " か月前 ヶ月前 ヵ月前 个月前 個月前 개월전 honapja เดือนที่แล้ว เดือนที่ผ่านมา "},
    {UNIT_AGO, YEAR, " 年前 년전 eve ปีที่แล้ว ปีที่ผ่านมา "},
    {DAYS, 0,
     " today heute aujourd aujourd’hui hoy hoje oggi vandaag dzisiaj dzis idag tanaan bugun dnes azi astazi ma "
     "сегодня сьогодні σημερα اليوم היום आज วันนี้ 今天 今日 오늘 "},
    {DAYS, 1,
     " yesterday gestern hier ayer ontem ieri gisteren wczoraj igar eilen dun vcera tegnap kemarin вчера вчора "
     "χθες أمس امس אתמול เมื่อวาน เมื่อวานนี้ 昨天 昨日 어제 "},
    {DAYS, 2,
     " vorgestern anteayer anteontem eergisteren przedwczoraj forrgar predvcirem позавчера позавчора προχθες "
     "前天 一昨日 그저께 "},
    {WEEKDAY, 0, " sun sunday so sonntag dimanche domingo domenica zondag "},
    {WEEKDAY, 1, " mon monday mo montag lundi lunes lunedi maandag "},
    {WEEKDAY, 2, " tue tues tuesday di dienstag mardi martes martedi dinsdag "},
    {WEEKDAY, 3, " wed wednesday mi mittwoch mercredi miercoles mercoledi woensdag "},
    {WEEKDAY, 4, " thu thur thurs thursday do donnerstag jeudi jueves giovedi donderdag "},
    {WEEKDAY, 5, " fri friday fr freitag vendredi viernes venerdi vrijdag "},
    {WEEKDAY, 6, " sat saturday sa samstag sonnabend samedi sabado sabato zaterdag "},
    {ONE, 1,
     " a an few ein eine einer einem einen paar un une quelques una unos um uma een kilka en ett et nekolika "
     "несколько кілька μια "},
    {FILLER, 0,
     " about around almost over less more than circa etwa environ aproximadamente около and und et y hui at om "
     "as las alle в о o for de απο yang pukul kl klo saat v ve la uhr på i noin "},
};
// Two words that mean what one does.
static const char *const phrases[][2] = {
    {"i dag", "today"},   {"i gar", "yesterday"},   {"hari ini", "today"},
    {"hom nay", "today"}, {"hom qua", "yesterday"}, {"i forgars", "vorgestern"},
};
static const char *const right_now[] = {
    "now",     "just now", "right now",  "gerade eben", "jetzt",     "ahora",      "agora",
    "adesso",  "zojuist",  "только что", "щойно",       "nyss",      "akkurat na", "juuri nyt",
    "az once", "simdi",    "prave ted",  "chiar acum",  "baru saja", "vừa xong",   "μολις τωρα",
    "الآن",    "עכשיו",    "刚刚",       "剛剛",        "たった今",  "방금"};

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
    case ALONE: return r->count = r->given ? r->count : 1, take_unit(r, value);
    case UNIT_AGO: return r->ago = true, take_unit(r, value);
    case ONE:
        if (!r->given) r->count = 1;
        return true;
    case DAYS:
    case WEEKDAY: return false;
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

// A day's name, and the time that stands beside it.
typedef struct {
    int days, weekday;            // -1: not named
    char time[2 * MAX_TEXT + 20]; // as that of a day of 2000
} day_t;

static bool take_day(day_t *d, const char *word, size_t len)
{
    word_kind_t kind;
    int value;
    if (!find(word, len, &kind, &value)) return false;
    if (kind == FILLER || kind == ONE) return true;
    bool named = d->days >= 0 || d->weekday >= 0;
    if (kind == DAYS) d->days = value;
    if (kind == WEEKDAY) d->weekday = value;
    return !named && (kind == DAYS || kind == WEEKDAY);
}

// false: something else is there, too.
static bool split_day(const char *text, day_t *d)
{
    size_t at = (size_t)snprintf(d->time, sizeof d->time, "2000-01-01 ");
    for (size_t n; *text; text += n) {
        n = half_of_day(text);
        if (n) {
            at += (size_t)snprintf(d->time + at, sizeof d->time - at, " %cm", *text);
            continue;
        }
        while (is_word_byte((unsigned char)text[n])) n++;
        if (n && !take_day(d, text, n)) return false;
        if (n) continue;
        n = 1;
        if (!strchr("0123456789: ,.'", *text)) return false;
        if (*text != ',' && *text != '\'') d->time[at++] = *text, d->time[at] = '\0';
    }
    return d->days >= 0 || d->weekday >= 0 || strchr(d->time, ':');
}

// "Today 10:30", "Thu 11:02", "yesterday"; a mere "10:30" is the latest.
static int64_t moment_of_day(const char *text, const date_sense_t *sense, int64_t now)
{
    static const int64_t day_of_2000 = INT64_C(946684800000);
    day_t d = {.days = -1, .weekday = -1};
    if (!split_day(text, &d)) return TIME_NONE;
    int64_t ms = date_parse(d.time, strlen(d.time), NULL);
    if (ms < day_of_2000 || ms >= day_of_2000 + (int64_t)DAY * 1000) return TIME_NONE;
    int64_t day = civil_floor(zone_local(sense->zone, now / 1000), DAY), second = (ms - day_of_2000) / 1000;
    day -= d.days >= 0 ? d.days : d.weekday >= 0 ? (civil_weekday(day) - d.weekday + 7) % 7 : 0;
    int64_t moment = zone_instant(sense->zone, day * DAY + second) * 1000;
    if (d.days >= 0 || moment <= now) return moment;
    return zone_instant(sense->zone, (day - (d.weekday >= 0 ? 7 : 1)) * DAY + second) * 1000;
}

// Puts one word in the place of two.
static void shorten(char *text)
{
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        size_t len = strlen(phrases[i][0]), less = strlen(phrases[i][1]);
        char *at = strstr(text, phrases[i][0]);
        if (!at || (at > text && is_word_byte((unsigned char)at[-1])) || is_word_byte((unsigned char)at[len]))
            continue;
        if (less > len && strlen(text) + less - len > MAX_TEXT) continue;
        memmove(at + less, at + len, strlen(at + len) + 1);
        memcpy(at, phrases[i][1], less);
    }
}

int64_t date_relative(const char *text, const date_sense_t *sense, int64_t now)
{
    char folded[MAX_TEXT + 4], *start = folded;
    size_t n = strlen(text) <= MAX_TEXT ? date_fold(text, strlen(text), folded, sizeof folded - 1) : 0;
    while (n && folded[n - 1] == ' ') n--;
    folded[n] = '\0';
    while (*start == ' ') start++;
    if (!*start) return TIME_NONE;
    shorten(start);
    relative_t r = {0};
    int64_t ms = TIME_NONE;
    for (size_t i = 0; i < sizeof right_now / sizeof *right_now; i++)
        if (strcmp(start, right_now[i]) == 0) ms = now;
    if (ms == TIME_NONE)
        ms = take_amounts(&r, start) ? now - r.back * 1000 : moment_of_day(start, sense, now);
    if (ms == TIME_NONE) ms = date_without_year(start, strlen(start), sense, now);
    return ms == TIME_NONE || ms > now ? TIME_NONE : civil_floor(ms, MINUTE * 1000) * MINUTE * 1000;
}

bool date_is_relative(const char *text, const date_sense_t *sense)
{
    static const int64_t late =
        INT64_C(253402300799999); // the last moment of a day, so no time of it lies ahead
    return date_relative(text, sense, late) != TIME_NONE;
}
