// Which dead letters a command is about, and changing them a thousand at a time.
#ifndef VEDETTE_CLI_LETTERS_H
#define VEDETTE_CLI_LETTERS_H

#include <libpq-fe.h>

#include "cli/options.h"
#include "cli/when.h"

// What was typed. Letters are named by their numbers, or by what they have in common.
struct letters_choice {
  const char *device, *reason, *since, *state; // NULL: any
  char **ids;                                  // arguments
  int id_count;
  char reason_name[32]; // as the store says it
  char since_utc[WHEN_SIZE];
};

// The options for a choice, to put among a command's own.
#define LETTERS_OPTIONS(choice)                                                                                                  \
  {OPTION_TEXT, "device", &(choice).device, "CREDENTIAL", "of this device, or of a stranger with this name", 0, 0},              \
      {OPTION_TEXT, "reason", &(choice).reason, "R", "with this reason, as unknown-device or malformed", 0, 0}, {                \
    OPTION_TEXT, "since", &(choice).since, "T", "received since: 30m, 2h, 7d (ago), 2026-03-01, 2026-03-01T12:00Z", 0, 0         \
  }

// Checks what was typed. False with the error said.
bool letters_check(struct cli *cli, struct letters_choice *choice);

// Runs "SELECT `columns` FROM vedette.dead_letter … `tail`" for the choice, at most `limit` rows. NULL with the error said.
PGresult *letters_query(struct cli *cli, PGconn *connection, const struct letters_choice *choice, const char *columns,
                        const char *tail);

// Numbers of letters.
struct letters {
  long long *ids;
  size_t count;
  size_t not_whole; // left out: they cannot be replayed
};

// Finds the letters of a choice whose state is one of two, and that are whole if `whole`. Where numbers were typed each has to be
// one of them. False with the error said. Free `ids`.
bool letters_find(struct cli *cli, PGconn *connection, const struct letters_choice *choice, const char *const states[2],
                  bool whole, struct letters *letters);

// Up to LETTERS_CHUNK numbers from `at` on as an array for the store; `text` has room for LETTERS_TEXT bytes. Returns how many.
enum { LETTERS_CHUNK = 1000, LETTERS_TEXT = LETTERS_CHUNK * 21 + 3 };
size_t letters_chunk(const struct letters *letters, size_t at, char *text);

// Says on a terminal how far long work has come; `at` == count takes it away.
void letters_progress(const struct letters *letters, size_t at, const char *doing);

#endif
