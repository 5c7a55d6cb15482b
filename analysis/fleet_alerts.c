#include "analysis/fleet_alerts.h"

#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One that is live.
struct fleet_alert {
  UT_hash_handle hh;
  char name[]; // kind and key, a line each
};

static struct fleet_alert *make(enum alert_kind kind, const char *key) {
  size_t size = strlen(alert_kind_name(kind)) + strlen(key) + 2;
  struct fleet_alert *alert = calloc(1, sizeof *alert + size);
  if (alert == NULL) {
    log_error("out of memory for the system's alerts; leaving", "kind=%s", alert_kind_name(kind));
    abort();
  }
  snprintf(alert->name, size, "%s\n%s", alert_kind_name(kind), key);
  return alert;
}

// The live one of the same name, or NULL.
static struct fleet_alert *find(const struct context *context, const char *name) {
  struct fleet_alert *alert = NULL;
  HASH_FIND_STR(context->fleet_alerts, name, alert);
  return alert;
}

bool fleet_alert_live(const struct context *context, enum alert_kind kind, const char *key) {
  struct fleet_alert *wanted = make(kind, key);
  bool live = find(context, wanted->name) != NULL;
  free(wanted);
  return live;
}

// False if it is live already.
static bool add(struct context *context, enum alert_kind kind, const char *key) {
  struct fleet_alert *alert = make(kind, key);
  if (find(context, alert->name) != NULL) {
    free(alert);
    return false;
  }
  HASH_ADD_STR(context->fleet_alerts, name, alert);
  return true;
}

void fleet_alert_load(struct context *context, enum alert_kind kind, const char *key) {
  (void)add(context, kind, key);
}

void fleet_alert_raise(struct context *context, enum alert_kind kind, const char *key, enum severity severity, int64_t at,
                       struct explanation explanation, const char *sentence, ...) {
  char *text = NULL;
  char *reasons = explanation_text(&explanation);
  va_list args;
  if (!add(context, kind, key)) {
    free(reasons);
    return;
  }
  va_start(args, sentence);
  int length = vasprintf(&text, sentence, args);
  va_end(args);
  context_effect(context, (struct effect){.kind = EFFECT_RAISE,
                                          .at = at,
                                          .name = alert_kind_name(kind),
                                          .key = strdup(key),
                                          .severity = severity,
                                          .sentence = length < 0 ? NULL : text,
                                          .explanation = reasons});
}

void fleet_alert_clear(struct context *context, enum alert_kind kind, const char *key, int64_t at, const char *why) {
  struct fleet_alert *wanted = make(kind, key);
  struct fleet_alert *alert = find(context, wanted->name);
  free(wanted);
  if (alert == NULL) {
    return;
  }
  HASH_DEL(context->fleet_alerts, alert); // NOLINT(clang-analyzer-unix.Malloc): it cannot follow uthash
  free(alert);
  context_effect(context,
                 (struct effect){
                     .kind = EFFECT_CLEAR, .at = at, .name = alert_kind_name(kind), .key = strdup(key), .sentence = strdup(why)});
}

void fleet_alerts_forget(struct context *context) {
  struct fleet_alert *alert;
  struct fleet_alert *next;
  HASH_ITER(hh, context->fleet_alerts, alert, next) {
    HASH_DEL(context->fleet_alerts, alert); // NOLINT(clang-analyzer-unix.Malloc): as above
    free(alert);
  }
}
