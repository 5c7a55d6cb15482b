// One PostgreSQL connection on the event loop: connects, reconnects with back-off, and runs scripts, one at a time.
//
// A script is a list of statements that run in order. When one fails the rest is left out, an open transaction is rolled back,
// and the caller gets the error. When the connection is lost the caller learns that the outcome is not known. Nothing blocks but
// the look-up of a host name. All functions belong to the loop's thread.
#ifndef VEDETTE_STORAGE_LINK_H
#define VEDETTE_STORAGE_LINK_H

#include "common/loop.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

struct link;
struct script;

enum link_outcome {
  LINK_DONE,   // every statement ran
  LINK_FAILED, // the server refused a statement
  LINK_LOST,   // the connection went away: what was being committed may or may not be
};

#define STORE_ERASED "VE001" // sqlstate: devices were erased that the writer does not know to be (migration 0014)

struct link_result {
  enum link_outcome outcome;
  char sqlstate[6];
  char constraint[64]; // that was violated, or ""
  char message[256];   // one line
};

struct link_events {
  void (*up)(void *arg);   // connected, nothing is running
  void (*down)(void *arg); // connection lost, after a running script's `done`; it is being made again
  void *arg;
};

// Starts connecting at once. `conninfo` and `name` (application_name, log lines) are copied. NULL when out of memory.
struct link *link_new(struct loop *loop, const char *conninfo, const char *name, const struct link_events *events);
void link_free(struct link *link); // accepts NULL; a running script is dropped without `done`

bool link_is_up(const struct link *link);
bool link_is_idle(const struct link *link); // up, and no script is running

typedef void (*link_rows)(const PGresult *rows, void *arg);
typedef void (*link_done)(const struct link_result *result, void *arg);

// A script; parameters are copied in text form (NULL is SQL NULL). At most SCRIPT_PARAMETERS of them a statement.
enum { SCRIPT_PARAMETERS = 20 };
struct script *script_new(void);
void script_free(struct script *script); // accepts NULL; link_run takes a script over

// Appends a statement; its rows, if any, go to `rows` (may be NULL). Out of memory shows when the script is run.
void script_add(struct script *script, const char *sql, int count, const char *const *parameters, link_rows rows, void *arg);
// As script_add, with the rows in binary format.
void script_add_binary(struct script *script, const char *sql, int count, const char *const *parameters, link_rows rows,
                       void *arg);
// Appends a COPY … FROM STDIN that sends `size` bytes at `data`, which stay the caller's and have to live until `done`.
void script_copy(struct script *script, const char *sql, const void *data, size_t size);

// Runs `script` (taken over in every case). False if the link is not idle or memory ran out: then `done` is not called.
bool link_run(struct link *link, struct script *script, link_done done, void *arg);

#endif
