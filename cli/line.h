// Lines of files that others wrote, one at a time, in memory that is fixed by the caller.
#ifndef VEDETTE_CLI_LINE_H
#define VEDETTE_CLI_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// Reads up to the end of the line into `text`, without LF or CRLF and with a NUL behind it; `length` counts NUL bytes of the line
// itself too. What is beyond `most` bytes is read and dropped, and sets `too_long`. `text` has room for most + 1 bytes. False at
// the end of the file, and where reading failed (ferror).
bool line_read(FILE *in, char *text, size_t most, size_t *length, bool *too_long);

#endif
