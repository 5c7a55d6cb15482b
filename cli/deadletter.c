// `vedette deadletter list|show`.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/letters.h"
#include "cli/output.h"
#include "cli/wire.h"
#include "ingest/decode.h"

enum { LIST_LIMIT = 50, LIST_MOST = 100000, DUMP_WIDTH = 16 };

// Who sent it: a stranger's name is in the topic only.
#define SENDER "coalesce(nullif(credential, ''), nullif(split_part(topic, '/', 3), '')) AS credential"

int deadletter_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  struct letters_choice choice = {.state = "open"};
  long limit = LIST_LIMIT;
  char tail[64];
  const struct option_spec specs[] = {
      LETTERS_OPTIONS(choice),
      {OPTION_TEXT, "state", &choice.state, "S", "open (without this), queued, replayed, dropped or all", 0, 0},
      {OPTION_NUMBER, "limit", &limit, "N", "at most this many (50)", 1, LIST_MOST},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0 || !letters_check(cli, &choice)) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_READ_S);
  if (connection == NULL) {
    return cli->code;
  }
  (void)snprintf(tail, sizeof tail, "ORDER BY id DESC LIMIT %ld", limit);
  PGresult *result =
      letters_query(cli, connection, &choice, "id, received, " SENDER ", reason, detail, size, whole, state", tail);
  int code = result != NULL ? output_result(cli, result, "no such dead letter") : cli->code;
  PQclear(result);
  PQfinish(connection);
  return code;
}

struct payload {
  unsigned char *data; // libpq's
  size_t size;
};

static bool read_payload(struct cli *cli, PGconn *connection, const char *id, struct payload *payload) {
  PGresult *result = db_query(cli, connection, "SELECT vedette.dead_letter_payload($1)", 1, &id);
  if (result == NULL) {
    return false;
  }
  payload->data = PQunescapeBytea((const unsigned char *)PQgetvalue(result, 0, 0), &payload->size);
  PQclear(result);
  if (payload->data == NULL) {
    cli_fail(cli, CLI_FAILED, "out of memory");
  }
  return payload->data != NULL;
}

static int write_payload(struct cli *cli, const struct payload *payload, const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); // telemetry is its owner's
  FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
  if (file == NULL) {
    int error = errno;
    if (fd >= 0) {
      close(fd);
    }
    return cli_fail(cli, CLI_FAILED, "cannot write %s: %s", path, strerror(error));
  }
  bool written = fwrite(payload->data, 1, payload->size, file) == payload->size;
  if (fclose(file) != 0 || !written) {
    return cli_fail(cli, CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
  }
  if (cli->json) {
    return output_json(cli, json_pack("{s:s,s:I}", "file", path, "bytes", (json_int_t)payload->size));
  }
  printf("%zu bytes are in %s\n", payload->size, path);
  return CLI_FINE;
}

// Offset, bytes in hexadecimal, and the printable ones as text.
static void dump(const struct payload *payload) {
  for (size_t at = 0; at < payload->size; at += DUMP_WIDTH) {
    printf("%08zx ", at);
    for (size_t i = at; i < at + DUMP_WIDTH; i++) {
      if (i < payload->size) {
        printf(" %02x", payload->data[i]);
      } else {
        fputs("   ", stdout);
      }
    }
    fputs("  ", stdout);
    for (size_t i = at; i < at + DUMP_WIDTH && i < payload->size; i++) {
      putchar(payload->data[i] >= 0x20 && payload->data[i] < 0x7f ? payload->data[i] : '.');
    }
    putchar('\n');
  }
}

static char *to_hex(const struct payload *payload) {
  char *hex = malloc(2 * payload->size + 1);
  if (hex != NULL) {
    hex[0] = '\0';
    for (size_t i = 0; i < payload->size; i++) {
      (void)snprintf(hex + 2 * i, 3, "%02x", payload->data[i]);
    }
  }
  return hex;
}

// What can be read of the payload, by its topic; NULL where the topic says nothing.
static json_t *decode(const char *topic, const struct payload *payload, size_t *end) {
  const char *credential = NULL;
  size_t length = 0;
  switch (topic_parse(topic, strlen(topic), &credential, &length)) {
  case TOPIC_REPORT: return wire_read(&vedette__v1__report__descriptor, payload->data, payload->size, end);
  case TOPIC_CONNECTIVITY: return wire_read(&vedette__v1__connectivity__descriptor, payload->data, payload->size, end);
  default: return NULL;
  }
}

static int show_json(struct cli *cli, const PGresult *letter, const struct payload *payload) {
  json_t *object = output_row(letter, 0);
  size_t end = 0;
  char *hex = to_hex(payload);
  json_t *decoded = decode(db_text(letter, 0, "topic"), payload, &end);
  json_object_set_new(object, "payload", json_string(hex));
  json_object_set_new(object, "decoded_bytes", json_integer(decoded != NULL ? (json_int_t)end : 0));
  json_object_set_new(object, "decoded", decoded != NULL ? decoded : json_null());
  free(hex);
  return output_json(cli, object);
}

static int show_text(struct cli *cli, const PGresult *letter, const struct payload *payload) {
  size_t end = 0;
  for (int column = 0; column < PQnfields(letter); column++) {
    char *text = output_text(letter, 0, column);
    printf("%-12s %s\n", PQfname(letter, column), text != NULL ? text : "");
    free(text);
  }
  json_t *decoded = decode(db_text(letter, 0, "topic"), payload, &end);
  if (payload->size > 0 && decoded != NULL) {
    putchar('\n');
    output_title(cli, "decoded");
    putchar(':');
    output_nested(decoded, 2);
    if (end < payload->size) {
      printf("It cannot be read on from byte %zu (%#zx) of %zu.\n", end, end, payload->size);
    }
  }
  json_decref(decoded);
  if (payload->size > 0) {
    putchar('\n');
    output_title(cli, "payload");
    puts(":");
    dump(payload);
  }
  return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
}

int deadletter_show(struct cli *cli, const struct command *command, int argc, char **argv) {
  struct letters_choice choice = {0};
  struct payload payload = {0};
  const char *file = NULL;
  const struct option_spec specs[] = {
      {OPTION_TEXT, "payload", &file, "FILE", "write the payload to this file, and show nothing else", 0, 0},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  choice.id_count = options_parse(cli, command, specs, 1, 1, argc, argv);
  choice.ids = argv;
  if (choice.id_count < 0 || !letters_check(cli, &choice)) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_READ_S);
  if (connection == NULL) {
    return cli->code;
  }
  PGresult *letter =
      letters_query(cli, connection, &choice,
                    "id, state, received, " SENDER ", device, reason, detail, topic, boot, sequence, size, whole,"
                    " batch >> 40 AS feed, batch & ((1::bigint << 40) - 1) AS batch, record, changed_at, changed_by",
                    "");
  int code = CLI_FAILED;
  if (letter != NULL && PQntuples(letter) == 0) {
    code = cli_fail(cli, CLI_FAILED, "there is no dead letter %s; see vedette deadletter list --state all", argv[0]);
  } else if (letter != NULL && read_payload(cli, connection, argv[0], &payload)) {
    code = file != NULL ? write_payload(cli, &payload, file)
           : cli->json  ? show_json(cli, letter, &payload)
                        : show_text(cli, letter, &payload);
  } else {
    code = cli->code;
  }
  PQfreemem(payload.data);
  PQclear(letter);
  PQfinish(connection);
  return code;
}
