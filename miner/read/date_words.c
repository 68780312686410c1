// Date words: tables, and the folding that keeps them short. Months and weekdays are matched by their stems,
// so that full, short and inflected forms need one entry: "jan" is January, Januar, janvier, janeiro.
#include "miner/read/date_words.h"

#include <stdint.h>
#include <string.h>

typedef struct {
    const char *stem;
    int month;
} month_stem_t;

// The first match counts: longer stems stand before those that begin like them.
static const month_stem_t month_stems[] = {
    // Finnish: some begin like months of others
    {"tammi", 1},
    {"helmi", 2},
    {"maalis", 3},
    {"huhti", 4},
    {"touko", 5},
    {"kesa", 6},
    {"heina", 7},
    {"elok", 8},
    {"syys", 9},
    {"loka", 10},
    {"marras", 11},
    {"joulu", 12},
    {"jan", 1},
    {"ene", 1},
    {"gen", 1},
    {"янв", 1},
    {"січ", 1},
    {"sty", 1},
    {"oca", 1},
    {"ιαν", 1},
    {"يناير", 1},
    {"جانفي", 1},
    {"जन", 1},
    {"feb", 2},
    {"fev", 2},
    {"фев", 2},
    {"лют", 2},
    {"lut", 2},
    {"sub", 2},
    {"φεβ", 2},
    {"φευ", 2},
    {"فبراير", 2},
    {"فيفري", 2},
    {"شباط", 2},
    {"फ़र", 2},
    {"फर", 2},
    {"mar", 3},
    {"maar", 3},
    {"maerz", 3},
    {"mrz", 3},
    {"мар", 3},
    {"бер", 3},
    {"μαρ", 3},
    {"مارس", 3},
    {"آذار", 3},
    {"मार", 3},
    {"apr", 4},
    {"avr", 4},
    {"abr", 4},
    {"апр", 4},
    {"кві", 4},
    {"kwi", 4},
    {"nis", 4},
    {"απρ", 4},
    {"أبريل", 4},
    {"ابريل", 4},
    {"إبريل", 4},
    {"أفريل", 4},
    {"نيسان", 4},
    {"अप", 4},
    {"may", 5},
    {"mai", 5},
    {"mag", 5},
    {"maj", 5},
    {"mei", 5},
    {"май", 5},
    {"мая", 5},
    {"тра", 5},
    {"μαι", 5},
    {"μαη", 5},
    {"μαω", 5},
    {"مايو", 5},
    {"ماي", 5},
    {"أيار", 5},
    {"मई", 5},
    {"jun", 6},
    {"juin", 6},
    {"giu", 6},
    {"июн", 6},
    {"чер", 6},
    {"cze", 6},
    {"haz", 6},
    {"ιουν", 6},
    {"ιον", 6},
    {"يونيو", 6},
    {"يونيه", 6},
    {"جوان", 6},
    {"حزيران", 6},
    {"जून", 6},
    {"jul", 7},
    {"juil", 7},
    {"lug", 7},
    {"июл", 7},
    {"лип", 7},
    {"lip", 7},
    {"tem", 7},
    {"ιουλ", 7},
    {"ιολ", 7},
    {"يوليو", 7},
    {"يوليه", 7},
    {"جويلية", 7},
    {"تموز", 7},
    {"जुल", 7},
    {"aug", 8},
    {"ago", 8},
    {"aou", 8},
    {"agu", 8},
    {"авг", 8},
    {"сер", 8},
    {"sie", 8},
    {"αυγ", 8},
    {"أغسطس", 8},
    {"اغسطس", 8},
    {"أوت", 8},
    {"آب", 8},
    {"अग", 8},
    {"sep", 9},
    {"set", 9},
    {"szept", 9},
    {"сен", 9},
    {"вер", 9},
    {"wrz", 9},
    {"eyl", 9},
    {"σεπ", 9},
    {"سبتمبر", 9},
    {"أيلول", 9},
    {"सित", 9},
    {"oct", 10},
    {"okt", 10},
    {"out", 10},
    {"ott", 10},
    {"окт", 10},
    {"жов", 10},
    {"paz", 10},
    {"eki", 10},
    {"οκτ", 10},
    {"أكتوبر", 10},
    {"اكتوبر", 10},
    {"अक", 10},
    {"nov", 11},
    {"ноя", 11},
    {"лис", 11},
    {"lis", 11},
    {"kas", 11},
    {"νοε", 11},
    {"نوفمبر", 11},
    {"नव", 11},
    {"dec", 12},
    {"dez", 12},
    {"dic", 12},
    {"des", 12},
    {"дек", 12},
    {"гру", 12},
    {"gru", 12},
    {"ara", 12},
    {"δεκ", 12},
    {"ديسمبر", 12},
    {"दिस", 12},
    // Urdu and Persian
    {"جنور", 1},
    {"ژانو", 1},
    {"فرور", 2},
    {"فوری", 2},
    {"مارچ", 3},
    {"اپریل", 4},
    {"آور", 4},
    {"مئی", 5},
    {"جون", 6},
    {"ژوئن", 6},
    {"جولا", 7},
    {"ژوئی", 7},
    {"اگست", 8},
    {"ستمبر", 9},
    {"سپتا", 9},
    {"اکتوبر", 10},
    {"اکتبر", 10},
    {"نومبر", 11},
    {"نوامبر", 11},
    {"دسمبر", 12},
    {"دسامبر", 12},
    // Bengali, Marathi, Thai
    {"জানু", 1},
    {"ফেব", 2},
    {"মার", 3},
    {"এপ্র", 4},
    {"মে", 5},
    {"জুন", 6},
    {"জুল", 7},
    {"আগ", 8},
    {"অগ", 8},
    {"সেপ", 9},
    {"অক্ট", 10},
    {"নভে", 11},
    {"ডিসে", 12},
    {"जान", 1},
    {"फेब", 2},
    {"एप", 4},
    {"मे", 5},
    {"ऑग", 8},
    {"सप्ट", 9},
    {"ऑक", 10},
    {"नोव", 11},
    {"डिस", 12},
    {"มกรา", 1},
    {"กุมภา", 2},
    {"มีนา", 3},
    {"เมษา", 4},
    {"พฤษภา", 5},
    {"มิถุนา", 6},
    {"กรกฎา", 7},
    {"สิงหา", 8},
    {"กันยา", 9},
    {"ตุลา", 10},
    {"พฤศจิกา", 11},
    {"ธันวา", 12},
    // Romanian, Czech, Bulgarian and Serbian, Hebrew, Dutch
    {"ian", 1},
    {"iun", 6},
    {"iul", 7},
    {"noi", 11},
    {"led", 1},
    {"uno", 2},
    {"cvn", 6},
    {"cvc", 7},
    {"bre", 3},
    {"dub", 4},
    {"kve", 5},
    {"cervenc", 7},
    {"cer", 6},
    {"srp", 8},
    {"zar", 9},
    {"rij", 10},
    {"pro", 12},
    {"яну", 1},
    {"јан", 1},
    {"юни", 6},
    {"јун", 6},
    {"юли", 7},
    {"јул", 7},
    {"сеп", 9},
    {"ное", 11},
    {"нов", 11},
    {"ינו", 1},
    {"פבר", 2},
    {"מרץ", 3},
    {"אפר", 4},
    {"מאי", 5},
    {"יוני", 6},
    {"יולי", 7},
    {"אוג", 8},
    {"ספט", 9},
    {"אוק", 10},
    {"נוב", 11},
    {"דצמ", 12},
    {"mrt", 3},
};

static const char *const weekday_stems[] = {
    "mon",     "tue",      "wed",      "thu",    "fri",    "sat",   "sun",    "lun",   "mardi", "marte",
    "mer",     "mie",      "jue",      "ven",    "vie",    "sab",   "dom",    "jeu",   "sam",   "dim",
    "die",     "mit",      "don",      "fre",    "son",    "seg",   "ter",    "qua",   "qui",   "sex",
    "gio",     "maan",     "din",      "woe",    "vri",    "zat",   "zon",    "пон",   "вто",   "сре",
    "чет",     "пят",      "суб",      "вос",    "пн",     "вт",    "ср",     "чт",    "пт",    "сб",
    "вс",      "δευ",      "τρι",      "τετ",    "πεμ",    "παρ",   "σαβ",    "κυρ",   "الأحد", "الاثنين",
    "الإثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "সোম",    "মঙ্গল",  "বুধ",    "বৃহ",
    "শুক্র",     "শনি",      "রবি",      "پیر",    "منگل",   "بدھ",   "جمعرات", "جمعہ",  "ہفتہ",  "اتوار",
    "सोम",     "मंगल",      "बुध",       "गुरु",     "शुक्र",    "शनि",   "रवि",    "pazar", "sal",   "cars",
    "pers",    "cum",      "hetf",     "kedd",   "szer",   "csut",  "pent",   "szom",  "vasa",
};

static const char *const fillers[] = {
    "of", "the",  "om",   "at",   "on", "de",     "del", "le",  "el", "den",  "der",    "um",   "uhr",
    "kl", "a",    "as",   "d",    "st", "nd",     "rd",  "th",  "er", "year", "г",      "года", "год",
    "в",  "alle", "ore",  "och",  "o",  "dia",    "i",   "से",   "को", "في",   "الساعة", "klo",  "ob",
    "v",  "r",    "roku", "godz", "g",  "godine", "ve",  "u",   "na", "ngay", "nam",    "do",   "י",
    "ב",  "בשעה", "بجے",  "พ",    "ศ",  "am",     "la",  "las", "น",  "р",    "о",      "об"};

// Where one name is used for several zones, the one that feeds use most is meant.
static const struct {
    const char *name;
    int minutes;
} zones[] = {
    {"z", 0},       {"ut", 0},      {"utc", 0},    {"gmt", 0},     {"wet", 0},    {"west", 60},
    {"bst", 60},    {"ist", 330},   {"cet", 60},   {"cest", 120},  {"met", 60},   {"mez", 60},
    {"mest", 120},  {"mesz", 120},  {"eet", 120},  {"eest", 180},  {"sast", 120}, {"cat", 120},
    {"wat", 60},    {"eat", 180},   {"msk", 180},  {"msd", 240},   {"trt", 180},  {"samt", 240},
    {"gst", 240},   {"yekt", 300},  {"pkt", 300},  {"npt", 345},   {"omst", 360}, {"bdt", 360},
    {"krat", 420},  {"ict", 420},   {"wib", 420},  {"wita", 480},  {"hkt", 480},  {"sgt", 480},
    {"myt", 480},   {"pht", 480},   {"awst", 480}, {"irkt", 480},  {"jst", 540},  {"kst", 540},
    {"wit", 540},   {"yakt", 540},  {"acst", 570}, {"aest", 600},  {"vlat", 600}, {"acdt", 630},
    {"aedt", 660},  {"magt", 660},  {"nzst", 720}, {"nzdt", 780},  {"cvt", -60},  {"brst", -120},
    {"brt", -180},  {"art", -180},  {"uyt", -180}, {"clst", -180}, {"adt", -180}, {"nst", -210},
    {"ndt", -150},  {"ast", -240},  {"clt", -240}, {"vet", -240},  {"edt", -240}, {"est", -300},
    {"et", -300},   {"pet", -300},  {"cot", -300}, {"cdt", -300},  {"cst", -360}, {"ct", -360},
    {"mdt", -360},  {"mst", -420},  {"mt", -420},  {"pdt", -420},  {"pst", -480}, {"pt", -480},
    {"akdt", -480}, {"akst", -540}, {"hst", -600},
};

// Names that hold in summer and winter.
static const struct {
    const char *name, *area;
} areas[] = {{"et", "America/New_York"},
             {"ct", "America/Chicago"},
             {"mt", "America/Denver"},
             {"pt", "America/Los_Angeles"}};

static bool starts(const char *word, size_t len, const char *stem)
{
    if (!len || *word != *stem) return false;
    size_t n = strlen(stem);
    return len >= n && memcmp(word, stem, n) == 0;
}

static bool is(const char *word, size_t len, const char *other)
{
    return len && *word == *other && len == strlen(other) && memcmp(word, other, len) == 0;
}

int date_word_month(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof month_stems / sizeof *month_stems; i++) {
        if (starts(word, len, month_stems[i].stem)) return month_stems[i].month;
    }
    return 0;
}

bool date_word_weekday(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof weekday_stems / sizeof *weekday_stems; i++) {
        if (starts(word, len, weekday_stems[i])) return true;
    }
    return false;
}

bool date_word_filler(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) {
        if (is(word, len, fillers[i])) return true;
    }
    return false;
}

bool date_word_zone(const char *word, size_t len, int *minutes)
{
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        if (!is(word, len, zones[i].name)) continue;
        *minutes = zones[i].minutes;
        return true;
    }
    *minutes = 0;
    return len == 1 && *word >= 'a' && *word <= 'z' &&
           *word != 'j'; // military zones mean UTC (RFC 5322, 4.3)
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

date_half_t date_word_half(const char *s, size_t len)
{
    enum { DOTS = 1, WEAK = 2, STRICT = 4, KOREAN = 8 };
    static const struct {
        const char *word;
        bool pm;
        int flags; // DOTS: ends by itself
    } words[] = {
        {"a.m.", false, DOTS},         {"p.m.", true, DOTS},  {"a. m.", false, DOTS},
        {"p. m.", true, DOTS},         {"am", false, WEAK},   {"pm", true, WEAK},
        {"上午", false, DOTS},         {"下午", true, DOTS},  {"午前", false, DOTS},
        {"午後", true, DOTS},          {"凌晨", false, DOTS}, {"早上", false, DOTS},
        {"清晨", false, DOTS},         {"中午", true, DOTS},  {"傍晚", true, DOTS},
        {"晚上", true, DOTS},          {"晚", true, DOTS},    {"오전", false, DOTS | KOREAN},
        {"오후", true, DOTS | KOREAN}, {"ص", false, 0},       {"م", true, 0},
        {"صباحا", false, 0},           {"مساء", true, 0},     {"μ.μ.", true, DOTS},
        {"π.μ.", false, DOTS},         {"μμ", true, STRICT},  {"πμ", false, STRICT},
        {"ch", true, STRICT},          {"sa", false, STRICT}, {"ip", true, STRICT},
        {"ap", false, STRICT},         {"अपराह्न", true, 0},   {"पूर्वाह्न", false, 0},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].word);
        int flags = words[i].flags;
        if (!starts(s, len, words[i].word) || (!(flags & DOTS) && n < len && is_letter(s[n]))) continue;
        return (date_half_t){.len = n,
                             .pm = words[i].pm,
                             .korean = flags & KOREAN,
                             .before = (unsigned char)*s >= 0xE3, // Chinese, Japanese and Korean
                             .weak = flags & WEAK,
                             .strict = flags & STRICT};
    }
    return (date_half_t){.len = 0};
}

size_t date_word_whole_month(const char *s, size_t len, int *month)
{
    static const struct {
        const char *name;
        int month;
    } names[] = {{"十一月", 11}, {"十二月", 12}, {"十月", 10}, {"一月", 1},  {"二月", 2},  {"三月", 3},
                 {"四月", 4},    {"五月", 5},    {"六月", 6},  {"七月", 7},  {"八月", 8},  {"九月", 9},
                 {"ม.ค.", 1},    {"ก.พ.", 2},    {"มี.ค.", 3},  {"เม.ย.", 4}, {"พ.ค.", 5},  {"มิ.ย.", 6},
                 {"ก.ค.", 7},    {"ส.ค.", 8},    {"ก.ย.", 9},  {"ต.ค.", 10}, {"พ.ย.", 11}, {"ธ.ค.", 12}};
    for (size_t i = 0; len && (unsigned char)*s >= 0xE0 && i < sizeof names / sizeof *names; i++) {
        if (!starts(s, len, names[i].name)) continue;
        *month = names[i].month;
        return strlen(names[i].name);
    }
    return 0;
}

const char *date_word_area(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++) {
        if (is(word, len, areas[i].name)) return areas[i].area;
    }
    return NULL;
}

size_t date_area_name(const char *s, size_t len, char *out, size_t size)
{
    size_t n = 0;
    for (bool begins = true; n < len && n < size - 1; n++) {
        bool letter = s[n] >= 'a' && s[n] <= 'z';
        if (!letter && s[n] != '/' && s[n] != '_') break;
        out[n] = begins && letter ? (char)(s[n] - 32) : s[n];
        begins = !letter;
    }
    out[n] = '\0';
    return n;
}

// -- folding --------------------------------------------------------------------------------------

static size_t decode(const char *s, size_t len, uint32_t *c)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t n = u[0] < 0x80 ? 1 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
    *c = u[0];
    if (n == 1) return 1;
    if (u[0] < 0xC2 || n > len) return *c = ' ', 1;
    *c = u[0] & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) *c = *c << 6 | (u[i] & 0x3F);
    return n;
}

// The digit that a code point of another script is, or -1.
static int digit_of(uint32_t c)
{
    static const uint32_t zeros[] = {0x660, 0x6F0, 0x966, 0x9E6, 0xE50};
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        if (c >= zeros[i] && c < zeros[i] + 10) return (int)(c - zeros[i]);
    }
    return -1;
}

static uint32_t fold_latin(uint32_t c)
{
    static const char latin1[] = "aaaaaaaceeeeiiiidnooooo?ouuuuyts" // U+00C0 to U+00DF
                                 "aaaaaaaceeeeiiiidnooooo?ouuuuyty";
    // U+0100 to U+017F
    static const char extended[] = "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllll"
                                   "nnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
    if (c == 0xBA) return 'o'; // behind a number, as "st"
    if (c >= 0xC0 && c <= 0xFF) return (unsigned char)latin1[c - 0xC0];
    if (c >= 0x100 && c - 0x100 < sizeof extended - 1) return (unsigned char)extended[c - 0x100];
    return c;
}

static uint32_t fold_greek(uint32_t c)
{
    static const struct {
        uint16_t from, to;
    } marked[] = {{0x386, 0x3B1}, {0x388, 0x3B5}, {0x389, 0x3B7}, {0x38A, 0x3B9}, {0x38C, 0x3BF},
                  {0x38E, 0x3C5}, {0x38F, 0x3C9}, {0x390, 0x3B9}, {0x3AA, 0x3B9}, {0x3AC, 0x3B1},
                  {0x3AD, 0x3B5}, {0x3AE, 0x3B7}, {0x3AF, 0x3B9}, {0x3CA, 0x3B9}, {0x3CB, 0x3C5},
                  {0x3CC, 0x3BF}, {0x3CD, 0x3C5}, {0x3CE, 0x3C9}};
    for (size_t i = 0; i < sizeof marked / sizeof *marked; i++) {
        if (c == marked[i].from) return marked[i].to;
    }
    return c >= 0x391 && c <= 0x3A9 ? c + 32 : c;
}

static bool is_space(uint32_t c)
{
    return c <= ' ' || c == 0xA0 || (c >= 0x2000 && c <= 0x200F) || c == 0x202F || c == 0x3000 || c == 0xFEFF;
}

static uint32_t fold(uint32_t c)
{
    if (c >= 'A' && c <= 'Z') return c + 32;
    if (is_space(c)) return ' ';
    if (c < 0x80) return c;
    if (c >= 0x2010 && c <= 0x2015) return '-';
    if (c == 0x2212) return '-';
    if (c > 0xFF00 && c < 0xFF5F) return fold(c - 0xFEE0);                 // ASCII, as wide as Chinese signs
    if (c == 0x60C || c == 0x3001 || c == 0xB7 || c == 0x2022) return ','; // between a date and its time
    int digit = digit_of(c);
    if (digit >= 0) return (uint32_t)('0' + digit);
    if (c >= 0x410 && c <= 0x42F) return c + 32;
    if (c >= 0x400 && c <= 0x40F) return c + 80;
    return c < 0x370 ? fold_latin(c) : c < 0x400 ? fold_greek(c) : c;
}

size_t date_fold(const char *text, size_t len, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t bytes = decode(text + i, len - i, &c), old = bytes;
        c = fold(c);
        if (n + 4 > size) return 0;
        if (c < 0x80) {
            out[n++] = (char)c;
        } else if (c < 0x800) {
            out[n++] = (char)(0xC0 | c >> 6);
            out[n++] = (char)(0x80 | (c & 0x3F));
        } else {
            memcpy(out + n, text + i, old);
            n += old;
        }
        i += bytes;
    }
    return n;
}
