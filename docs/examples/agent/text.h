// Reading numbers and words out of text that somebody else wrote: /proc, /sys, log files.
// A `struct text` is a piece of text without a terminator; every function stays inside it, whatever the text holds.
#ifndef VEDETTE_AGENT_TEXT_H
#define VEDETTE_AGENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
  const char *at;
  const char *end;
};

// The text of a terminated string. It has to live as long as the result is used.
struct text text_of(const char *string);

// Takes the next line off `rest`, without its line feed. False at the end.
bool text_line(struct text *rest, struct text *line);

// Takes the next word off `rest`: what stands between blanks. False if only blanks are left.
bool text_word(struct text *rest, struct text *word);

// Takes `c` off `rest`, if that is what comes next.
bool text_take(struct text *rest, char c);

// Takes a number of base 10 or 16 off `rest` (no sign, no prefix). False, and nothing taken, without a digit or past 64 bits.
bool text_number(struct text *rest, unsigned base, uint64_t *value);

// Takes a decimal number with an optional sign and fraction off `rest`: "0.52", "-12000".
bool text_decimal(struct text *rest, double *value);

size_t text_size(struct text text);
bool text_is(struct text text, const char *string);

// Takes `prefix` off `rest`, if that is how it starts.
bool text_skip(struct text *rest, const char *prefix);

// Where `needle` occurs in `text` for the first or the last time; NULL if it does not.
const char *text_find(struct text text, const char *needle);
const char *text_find_last(struct text text, const char *needle);

// Copies into `out`, cut to fit and terminated. Returns the length.
size_t text_copy(struct text text, char *out, size_t size);

// As text_copy, but fit for a report: what is not UTF-8 and every control character becomes '?', and no character is cut in half.
size_t text_clean(struct text text, char *out, size_t size);

#endif
