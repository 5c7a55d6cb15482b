// Lists of values on their way to the store as one parameter: an SQL array in text form.
#ifndef VEDETTE_STORAGE_LIST_H
#define VEDETTE_STORAGE_LIST_H

#include <stddef.h>
#include <stdint.h>

struct list;

struct list *list_new(void);
void list_free(struct list *list); // accepts NULL
void list_int(struct list *list, int64_t value);
void list_text(struct list *list, const char *text);                    // any text; NULL is SQL NULL
void list_bytes(struct list *list, const void *data, size_t size);      // a bytea
void list_ints(struct list *list, const int32_t *values, size_t count); // an array as an element of text[]
size_t list_count(const struct list *list);

// The finished array; nothing may be added afterwards. When memory ran out it is no array, so that the server refuses the
// statement.
const char *list_literal(struct list *list);

// Decimal text of a number, for a parameter.
struct decimal {
  char text[24];
};
struct decimal decimal(int64_t value);

// SQL for the timestamptz of Unix microseconds, and for the date of days since 1970.
#define UNIX_TIME(n) "(timestamptz 'epoch' + " n "::bigint * interval '1 microsecond')"

#endif
