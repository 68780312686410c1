// Date words: names of months, weekdays and zones in dates, for date_scan.c, and how texts are folded. All
// words are folded: lower case, Latin and Greek letters without marks.
#ifndef RTM_MINER_DATE_WORDS_H
#define RTM_MINER_DATE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

// 1 to 12, or 0 where the word is no month.
int date_word_month(const char *word, size_t len);
bool date_word_weekday(const char *word, size_t len);
// Words that mean nothing in a date: "of", "at", "de", "th".
bool date_word_filler(const char *word, size_t len);
// *minutes east of UTC.
bool date_word_zone(const char *word, size_t len, int *minutes);
// The place whose time a name means in summer and winter: "et" is America/New_York; or NULL.
const char *date_word_area(const char *word, size_t len);
// Such a name as the system's files have it ("europe/brussels" was folded), in out. The length of it at s.
size_t date_area_name(const char *s, size_t len, char *out, size_t size);

// Which half of the day: what s begins with, if anything ("pm", "p.m.", "下午").
typedef struct {
    size_t len; // of the word; 0: none
    bool pm, korean;
    bool before; // stands before its hour
    bool weak;   // only behind an hour, or right before a clock: "am" is German, too
    bool strict; // only behind a clock
} date_half_t;
date_half_t date_word_half(const char *s, size_t len);
// Month names that are no words of letters alone: "十二月", "มี.ค.". The length of that at s, or 0.
size_t date_word_whole_month(const char *s, size_t len, int *month);

// Writes text folded to out (room for size bytes): ASCII digits for those of other scripts, plain spaces,
// hyphens. The length, or 0 where it does not fit.
size_t date_fold(const char *text, size_t len, char *out, size_t size);

#endif
