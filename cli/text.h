// Text that comes from devices, files and the database, made safe to show: what could steer a terminal or reorder a line is
// written as an escape. Input need not be valid UTF-8. No state.
#ifndef VEDETTE_CLI_TEXT_H
#define VEDETTE_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Decodes one character of UTF-8 (no overlong forms, no surrogates). Returns its length in bytes, 0 if there is none at `text`.
size_t text_decode(const char *text, size_t length, uint32_t *character);

// True when all of it is valid UTF-8 without NUL.
bool text_is_utf8(const char *text, size_t length);

// True when some character is a control character (C0, DEL, C1). The text is valid UTF-8.
bool text_has_control(const char *text, size_t length);

// Escapes `text`. Returns a new string, to be freed; NULL when there is no memory.
char *text_escape(const char *text, size_t length);

// Writes `text` escaped.
void text_write(FILE *out, const char *text, size_t length);

// Columns that escaped text takes on a terminal. The text is as text_escape returned it.
size_t text_width(const char *text);

// How many letters have to change to make one word of the other; words longer than 63 bytes are as far apart as can be.
size_t text_distance(const char *a, const char *b);

#endif
