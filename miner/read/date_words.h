// Date words: names of months, weekdays and zones in dates, for dates.c only. All words are folded: lower
// case, Latin and Greek letters without marks.
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

// Writes text folded to out (room for size bytes): ASCII digits for those of other scripts, plain spaces,
// hyphens. The length, or 0 where it does not fit.
size_t date_fold(const char *text, size_t len, char *out, size_t size);

#endif
