#include "storage/link.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  CONNECT_TIMEOUT_MS = 10000,
  BACKOFF_FIRST_MS = 100,
  BACKOFF_MOST_MS = 5000,
  COPY_CHUNK = 64 * 1024, // bytes handed to libpq at once; it buffers what the socket does not take
};

struct statement {
  struct statement *next;
  char *sql;
  int count;
  char *parameters[SCRIPT_PARAMETERS];
  bool binary;
  link_rows rows;
  void *arg;
  const char *data; // COPY
  size_t size;
};

struct script {
  struct statement *first, **last;
  bool broken; // out of memory
};

struct link {
  struct loop *loop;
  char *conninfo, *name;
  struct link_events events;
  PGconn *connection;
  struct event *io, *timer;
  short watched; // what io waits for
  bool up;
  bool unsent; // the script's first statement could not be sent
  uint32_t backoff_ms;
  struct script *script; // NULL: idle
  struct statement *at;
  size_t copied; // bytes of at->data sent
  bool copying;  // the server takes COPY data
  bool rolling_back;
  link_done done;
  void *done_arg;
  struct link_result result;
};

static void start_connecting(struct link *link);
static void pump(struct link *link);

struct script *script_new(void) {
  struct script *script = calloc(1, sizeof *script);
  if (script != NULL) {
    script->last = &script->first;
  }
  return script;
}

void script_free(struct script *script) {
  if (script == NULL) {
    return;
  }
  for (struct statement *s = script->first, *next; s != NULL; s = next) {
    next = s->next;
    for (int i = 0; i < s->count; i++) {
      free(s->parameters[i]);
    }
    free(s->sql);
    free(s);
  }
  free(script);
}

static struct statement *append(struct script *script, const char *sql) {
  struct statement *s = script ? calloc(1, sizeof *s) : NULL;
  if (s == NULL || (s->sql = strdup(sql)) == NULL) {
    free(s);
    if (script != NULL) {
      script->broken = true;
    }
    return NULL;
  }
  *script->last = s;
  script->last = &s->next;
  return s;
}

static struct statement *append_query(struct script *script, const char *sql, int count, const char *const *parameters,
                                      link_rows rows, void *arg) {
  struct statement *s = append(script, sql);
  if (s == NULL) {
    return NULL;
  }
  s->rows = rows;
  s->arg = arg;
  for (; s->count < count; s->count++) {
    const char *value = parameters[s->count];
    s->parameters[s->count] = value ? strdup(value) : NULL;
    script->broken |= value && !s->parameters[s->count];
  }
  return s;
}

void script_add(struct script *script, const char *sql, int count, const char *const *parameters, link_rows rows, void *arg) {
  append_query(script, sql, count, parameters, rows, arg);
}

void script_add_binary(struct script *script, const char *sql, int count, const char *const *parameters, link_rows rows,
                       void *arg) {
  struct statement *s = append_query(script, sql, count, parameters, rows, arg);
  if (s != NULL) {
    s->binary = true;
  }
}

void script_copy(struct script *script, const char *sql, const void *data, size_t size) {
  struct statement *s = append(script, sql);
  if (s != NULL) {
    s->data = data;
    s->size = size;
  }
}

// Keeps the first line of an error message; not of data exceptions, which quote what a device sent: it would get into logs.
static void note_error(struct link *link, const char *sqlstate, const char *constraint, const char *message) {
  snprintf(link->result.constraint, sizeof link->result.constraint, "%s", constraint ? constraint : "");
  snprintf(link->result.sqlstate, sizeof link->result.sqlstate, "%s", sqlstate ? sqlstate : "");
  snprintf(link->result.message, sizeof link->result.message, "%s",
           message == NULL                                ? ""
           : strncmp(link->result.sqlstate, "22", 2) == 0 ? "a value is not accepted (its text is withheld)"
                                                          : message);
  link->result.message[strcspn(link->result.message, "\n")] = '\0';
}

static void finish(struct link *link) {
  link_done done = link->done;
  struct link_result result = link->result;
  script_free(link->script);
  link->script = NULL;
  link->at = NULL;
  link->copying = link->rolling_back = false;
  done(&result, link->done_arg);
}

static void drop_connection(struct link *link) {
  if (link->io != NULL) {
    event_free(link->io);
    link->io = NULL;
  }
  PQfinish(link->connection);
  link->connection = NULL;
}

// The connection is gone, or was never made: tell, then try again later.
static void lose(struct link *link) {
  bool was_up = link->up;
  char why[160];
  char quoted[200];
  snprintf(why, sizeof why, "%s", link->connection ? PQerrorMessage(link->connection) : "");
  why[strcspn(why, "\n")] = '\0';
  log_warn(was_up ? "database connection lost" : "database cannot be reached", "link=%s retry_ms=%u error=%s", link->name,
           link->backoff_ms, log_quote(quoted, sizeof quoted, why));
  drop_connection(link);
  link->up = link->unsent = false;
  struct timeval wait = loop_ms(link->backoff_ms);
  event_add(link->timer, &wait);
  link->backoff_ms = link->backoff_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : link->backoff_ms * 2;
  if (link->script != NULL) {
    link->result.outcome = LINK_LOST;
    note_error(link, "", "", why);
    finish(link);
  }
  if (was_up) {
    link->events.down(link->events.arg);
  }
}

static void on_io(evutil_socket_t fd, short what, void *arg);

// libpq may change the descriptor between polls, so the event is made anew each time while connecting.
static bool watch(struct link *link, short what) {
  if (link->io != NULL) {
    event_free(link->io);
  }
  link->watched = what;
  link->io = event_new(loop_base(link->loop), PQsocket(link->connection), (short)(what | EV_PERSIST), on_io, link);
  return link->io != NULL && event_add(link->io, NULL) == 0;
}

static void poll_connecting(struct link *link) {
  switch (PQconnectPoll(link->connection)) {
  case PGRES_POLLING_READING:
    if (!watch(link, EV_READ)) {
      lose(link);
    }
    return;
  case PGRES_POLLING_WRITING:
    if (!watch(link, EV_WRITE)) {
      lose(link);
    }
    return;
  case PGRES_POLLING_OK: break;
  default: lose(link); return;
  }
  event_del(link->timer);
  if (PQsetnonblocking(link->connection, 1) != 0 || !watch(link, EV_READ)) {
    lose(link);
    return;
  }
  link->up = true;
  link->backoff_ms = BACKOFF_FIRST_MS;
  log_info("database connected", "link=%s", link->name);
  link->events.up(link->events.arg);
}

static void start_connecting(struct link *link) {
  struct timeval limit = loop_ms(CONNECT_TIMEOUT_MS);
  link->connection = PQconnectStart(link->conninfo);
  if (link->connection == NULL || PQstatus(link->connection) == CONNECTION_BAD || !watch(link, EV_WRITE)) {
    lose(link);
    return;
  }
  event_add(link->timer, &limit);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  struct link *link = arg;
  (void)fd;
  (void)what;
  if (link->connection == NULL) {
    start_connecting(link);
  } else if (!link->up || link->unsent) {
    lose(link); // connecting took too long, or a statement cannot be sent
  }
}

static void on_io(evutil_socket_t fd, short what, void *arg) {
  struct link *link = arg;
  (void)fd;
  if (!link->up) {
    poll_connecting(link);
    return;
  }
  if (link->unsent) {
    lose(link);
    return;
  }
  if ((what & EV_READ) && PQconsumeInput(link->connection) == 0) {
    lose(link);
    return;
  }
  pump(link);
}

// Waits for the server; for room to write too while libpq holds unsent bytes or COPY data is left. False: the connection was
// lost.
static bool wait_io(struct link *link) {
  int unsent = PQflush(link->connection);
  short what = unsent || link->copying ? EV_READ | EV_WRITE : EV_READ;
  if (unsent < 0 || PQstatus(link->connection) == CONNECTION_BAD || (what != link->watched && !watch(link, what))) {
    lose(link);
    return false;
  }
  return true;
}

static bool send_statement(struct link *link) {
  struct statement *s = link->at;
  return PQsendQueryParams(link->connection, s->sql, s->count, NULL, (const char *const *)s->parameters, NULL, NULL, s->binary) ==
         1;
}

// Feeds COPY data until the socket is full or all is sent. Returns -1 lost, 0 more to send, 1 done.
static int feed_copy(struct link *link) {
  const struct statement *s = link->at;
  while (link->copied < s->size) {
    size_t chunk = s->size - link->copied < COPY_CHUNK ? s->size - link->copied : COPY_CHUNK;
    int unsent = 0;
    if (PQputCopyData(link->connection, s->data + link->copied, (int)chunk) != 1) {
      return -1;
    }
    link->copied += chunk;
    unsent = PQflush(link->connection);
    if (unsent != 0) {
      return unsent < 0 ? -1 : 0;
    }
  }
  return PQputCopyEnd(link->connection, NULL) == 1 ? 1 : -1;
}

// Takes one result of the present statement.
static void take_result(struct link *link, const PGresult *result) {
  switch (PQresultStatus(result)) {
  case PGRES_TUPLES_OK:
    if (link->at->rows != NULL && !link->rolling_back) {
      link->at->rows(result, link->at->arg);
    }
    break;
  case PGRES_COMMAND_OK: break;
  case PGRES_COPY_IN:
    link->copying = true;
    link->copied = 0;
    break;
  default:
    if (link->result.outcome == LINK_DONE) {
      link->result.outcome = LINK_FAILED;
      note_error(link, PQresultErrorField(result, PG_DIAG_SQLSTATE), PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME),
                 PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    }
  }
}

// The present statement is over: go to the next, roll back, or finish. True if something was sent.
static bool advance(struct link *link) {
  bool failed = link->result.outcome != LINK_DONE;
  if (failed && !link->rolling_back && PQtransactionStatus(link->connection) != PQTRANS_IDLE) {
    link->rolling_back = true;
    if (PQsendQuery(link->connection, "ROLLBACK") == 1) {
      return true;
    }
    lose(link);
    return false;
  }
  link->at = failed ? NULL : link->at->next;
  if (link->at == NULL) {
    finish(link);
    return false;
  }
  if (!send_statement(link)) {
    lose(link);
    return false;
  }
  return true;
}

static void pump(struct link *link) {
  while (link->script != NULL) {
    if (link->copying) {
      int fed = feed_copy(link);
      if (fed < 0) {
        lose(link);
        return;
      }
      link->copying = fed == 0; // an error that the server meets meanwhile is read after the end of the data
    }
    if (!wait_io(link) || link->copying || PQisBusy(link->connection)) {
      return;
    }
    PGresult *result = PQgetResult(link->connection);
    if (result == NULL) {
      if (PQstatus(link->connection) == CONNECTION_BAD) {
        lose(link);
        return;
      }
      if (!advance(link)) {
        return;
      }
      continue;
    }
    take_result(link, result);
    PQclear(result);
  }
  if (link->up && PQstatus(link->connection) == CONNECTION_BAD) {
    lose(link);
  }
}

struct link *link_new(struct loop *loop, const char *conninfo, const char *name, const struct link_events *events) {
  struct link *link = calloc(1, sizeof *link);
  if (link == NULL) {
    return NULL;
  }
  link->loop = loop;
  link->events = *events;
  link->backoff_ms = BACKOFF_FIRST_MS;
  link->name = strdup(name);
  link->timer = evtimer_new(loop_base(loop), on_timer, link);
  if (asprintf(&link->conninfo,
               "%s application_name='%s' keepalives_idle=10 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=20000"
               " options='-c statement_timeout=60000 -c lock_timeout=30000 -c idle_in_transaction_session_timeout=20000 -c "
               "TimeZone=UTC'",
               conninfo, name) < 0) {
    link->conninfo = NULL;
  }
  if (link->name == NULL || link->timer == NULL || link->conninfo == NULL) {
    link_free(link);
    return NULL;
  }
  struct timeval at_once = {0};
  event_add(link->timer, &at_once);
  return link;
}

void link_free(struct link *link) {
  if (link == NULL) {
    return;
  }
  drop_connection(link);
  if (link->timer != NULL) {
    event_free(link->timer);
  }
  script_free(link->script);
  free(link->conninfo);
  free(link->name);
  free(link);
}

bool link_is_up(const struct link *link) {
  return link->up;
}

bool link_is_idle(const struct link *link) {
  return link->up && link->script == NULL;
}

bool link_run(struct link *link, struct script *script, link_done done, void *arg) {
  if (script == NULL || script->broken || script->first == NULL || !link_is_idle(link)) {
    script_free(script);
    return false;
  }
  link->script = script;
  link->at = script->first;
  link->done = done;
  link->done_arg = arg;
  link->result = (struct link_result){.outcome = LINK_DONE};
  // A statement that cannot be sent costs the connection, in the loop's next turn: `done` is never called from here.
  link->unsent = !send_statement(link) || PQflush(link->connection) < 0 || !watch(link, EV_READ | EV_WRITE);
  if (link->unsent) {
    struct timeval at_once = {0};
    event_add(link->timer, &at_once);
  }
  return true;
}
