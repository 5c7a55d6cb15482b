#include "ingest/resolve.h"

#include <stdlib.h>
#include <string.h>

enum { ASK_MOST = 500 }; // names or sets a question: each takes a lock in the store until its answer is complete

struct pending {
  struct metric *metric;
  const Vedette__V1__MetricDeclaration *declaration;
};

struct resolve {
  struct model *model; // whose metrics are being asked for
  struct pending pending[ASK_MOST];
  struct row *rows[ASK_MOST]; // whose sets are being asked for
  size_t count;
  struct row **probed; // in the batch's scratch
  struct message **probed_connectivity;
  struct batch *batch;
};

struct resolve *resolve_new(void) {
  return calloc(1, sizeof(struct resolve));
}

void resolve_free(struct resolve *resolve) {
  free(resolve);
}

// --- metrics

static bool is_pending(const struct resolve *resolve, const struct metric *metric) {
  for (size_t i = 0; i < resolve->count; i++) {
    if (resolve->pending[i].metric == metric) {
      return true;
    }
  }
  return false;
}

static void gather_metric(struct model *model, struct metric *metric, const Vedette__V1__MetricDeclaration *declaration,
                          void *arg) {
  struct resolve *resolve = arg;
  (void)declaration;
  if (metric->id != 0 || (resolve->model != NULL && resolve->model != model) || resolve->count == ASK_MOST ||
      is_pending(resolve, metric)) {
    return;
  }
  resolve->model = model;
  resolve->pending[resolve->count++] = (struct pending){.metric = metric};
}

bool resolve_metrics_next(struct resolve *resolve, struct batch *batch) {
  resolve->model = NULL;
  resolve->count = 0;
  batch_metrics(batch, gather_metric, resolve);
  return resolve->count > 0;
}

static void take_metrics(const PGresult *rows, void *arg) {
  struct resolve *resolve = arg;
  for (size_t i = 0; i < resolve->count && i < (size_t)PQntuples(rows); i++) {
    bool refused = PQgetisnull(rows, (int)i, 0);
    resolve->pending[i].metric->id = refused ? -1 : (int32_t)strtol(PQgetvalue(rows, (int)i, 0), NULL, 10);
  }
}

struct script *resolve_metrics(struct resolve *resolve) {
  struct script *script = script_new();
  struct list *names = list_new();
  if (script == NULL || names == NULL) {
    script_free(script);
    list_free(names);
    return NULL;
  }
  for (size_t i = 0; i < resolve->count; i++) {
    list_text(names, resolve->pending[i].metric->name);
  }
  intake_metrics(script, resolve->model->id, names, METRICS_LIMIT, take_metrics, resolve);
  list_free(names);
  return script;
}

static const char *kind_name(Vedette__V1__MetricKind kind) {
  switch (kind) {
  case VEDETTE__V1__METRIC_KIND__METRIC_KIND_GAUGE: return "gauge";
  case VEDETTE__V1__METRIC_KIND__METRIC_KIND_COUNTER: return "counter";
  case VEDETTE__V1__METRIC_KIND__METRIC_KIND_STATE: return "state";
  default: return NULL;
  }
}

struct declaring {
  struct resolve *resolve;
  struct script *script;
};

static void gather_declaration(struct model *model, struct metric *metric, const Vedette__V1__MetricDeclaration *declaration,
                               void *arg) {
  struct declaring *declaring = arg;
  struct resolve *resolve = declaring->resolve;
  if (declaration == NULL || metric->declared || metric->id <= 0 || resolve->count == ASK_MOST || is_pending(resolve, metric)) {
    return;
  }
  resolve->pending[resolve->count++] = (struct pending){.metric = metric};
  intake_declare(declaring->script, model->id, metric->id, kind_name(declaration->kind),
                 declaration->unit[0] ? declaration->unit : NULL);
}

struct script *resolve_declarations(struct resolve *resolve, struct batch *batch) {
  struct declaring declaring = {.resolve = resolve, .script = script_new()};
  resolve->count = 0;
  if (declaring.script == NULL) {
    return NULL;
  }
  batch_metrics(batch, gather_declaration, &declaring);
  if (resolve->count == 0) {
    script_free(declaring.script);
    return NULL;
  }
  return declaring.script;
}

void resolve_declared(struct resolve *resolve) {
  for (size_t i = 0; i < resolve->count; i++) {
    resolve->pending[i].metric->declared = true;
  }
}

// --- sets

bool resolve_rows(struct resolve *resolve, struct batch *batch) {
  resolve->count = 0;
  return batch_rows(batch);
}

static void take_sets(const PGresult *rows, void *arg) {
  struct resolve *resolve = arg;
  for (size_t i = 0; i < resolve->count && i < (size_t)PQntuples(rows); i++) {
    struct row *row = resolve->rows[i];
    int16_t number = PQgetisnull(rows, (int)i, 0) ? -1 : (int16_t)strtol(PQgetvalue(rows, (int)i, 0), NULL, 10);
    // A refused set is not remembered: a device that makes up sets would fill our memory.
    if (number < 0) {
      message_reject(row->message, VEDETTE__V1__REASON__REASON_TOO_MANY_METRICS, "the device has its 64 metric sets already");
    } else if (device_set(row->message->device, row->metrics, row->count) == NULL) {
      device_add_set(row->message->device, row->metrics, row->count, number);
    }
  }
}

struct script *resolve_sets(struct resolve *resolve, struct batch *batch) {
  struct list *devices = NULL;
  struct list *sets = NULL;
  struct script *script = NULL;
  resolve->count = 0;
  for (size_t i = 0; i < batch->row_count && resolve->count < ASK_MOST; i++) {
    if (batch->rows[i].count > 0 && batch->rows[i].set == NULL) {
      resolve->rows[resolve->count++] = &batch->rows[i];
    }
  }
  if (resolve->count == 0) {
    return NULL;
  }
  devices = list_new();
  sets = list_new();
  script = script_new();
  if (devices != NULL && sets != NULL && script != NULL) {
    for (size_t i = 0; i < resolve->count; i++) {
      list_int(devices, resolve->rows[i]->message->device->id);
      list_ints(sets, resolve->rows[i]->metrics, resolve->rows[i]->count);
    }
    intake_sets(script, devices, sets, SETS_LIMIT, take_sets, resolve);
  }
  list_free(devices);
  list_free(sets);
  return script;
}

// --- repeats

static void take_repeats(const PGresult *rows, void *arg) {
  struct resolve *resolve = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    struct message *message = resolve->probed[strtol(PQgetvalue(rows, i, 0), NULL, 10) - 1]->message;
    if (PQgetvalue(rows, i, 1)[0] != 't') {
      message_reject(message, VEDETTE__V1__REASON__REASON_CONFLICT,
                     "same boot, sequence and time as a stored report, another content");
    } else if (message->outcome == OUTCOME_STORED) {
      message->outcome = OUTCOME_DUPLICATE;
    }
  }
}

static void take_connectivity_repeats(const PGresult *rows, void *arg) {
  struct resolve *resolve = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    resolve->probed_connectivity[strtol(PQgetvalue(rows, i, 0), NULL, 10) - 1]->outcome = OUTCOME_DUPLICATE;
  }
}

static bool same_connectivity(const struct message *x, const struct message *y) {
  return x->publisher == y->publisher && x->boot == y->boot && x->sequence == y->sequence &&
         x->connectivity->state == y->connectivity->state;
}

// Fills `keys` with what is to be asked about connectivity; repeats within the batch are marked on the way. Returns how many.
static size_t gather_connectivity(struct resolve *resolve, struct batch *batch, struct intake_keys *keys) {
  size_t count = 0;
  for (size_t i = 0; i < batch->count; i++) {
    struct message *message = &batch->messages[i];
    if (message->outcome != OUTCOME_STORED || message->kind != TOPIC_CONNECTIVITY) {
      continue;
    }
    for (size_t j = 0; j < count && message->outcome == OUTCOME_STORED; j++) {
      if (same_connectivity(resolve->probed_connectivity[j], message)) {
        message->outcome = OUTCOME_DUPLICATE;
      }
    }
    if (message->outcome == OUTCOME_STORED) {
      resolve->probed_connectivity[count++] = message;
      list_int(keys->devices, message->publisher->id);
      list_int(keys->boots, message->boot);
      list_int(keys->sequences, (int64_t)message->sequence);
      list_int(keys->publishers, message->connectivity->state);
    }
  }
  return count;
}

static size_t gather_reports(struct resolve *resolve, struct batch *batch, struct intake_keys *keys, bool all) {
  size_t count = 0;
  for (size_t i = 0; i < batch->row_count; i++) {
    struct row *row = &batch->rows[i];
    if (all || row->message->repeat) {
      resolve->probed[count++] = row;
      list_int(keys->devices, row->message->device->id);
      list_int(keys->times, row->time);
      list_int(keys->publishers, row->message->publisher->id);
      list_int(keys->boots, row->message->boot);
      list_int(keys->sequences, (int64_t)row->message->sequence);
      list_int(keys->digests, row->message->digest);
    }
  }
  return count;
}

static bool keys_make(struct intake_keys *keys) {
  *keys = (struct intake_keys){list_new(), list_new(), list_new(), list_new(), list_new(), list_new()};
  return keys->devices && keys->times && keys->publishers && keys->boots && keys->sequences && keys->digests;
}

static void keys_free(struct intake_keys *keys) {
  list_free(keys->devices);
  list_free(keys->times);
  list_free(keys->publishers);
  list_free(keys->boots);
  list_free(keys->sequences);
  list_free(keys->digests);
}

struct script *resolve_repeats(struct resolve *resolve, struct batch *batch, bool all) {
  struct intake_keys reports = {0};
  struct intake_keys connectivity = {0};
  struct script *script = script_new();
  size_t asked = 0;
  resolve->batch = batch;
  resolve->probed = region_zalloc(batch->scratch, batch->row_count, sizeof(struct row *));
  resolve->probed_connectivity = region_zalloc(batch->scratch, batch->count, sizeof(struct message *));
  bool ok = keys_make(&reports) && keys_make(&connectivity);
  if (script != NULL && ok && resolve->probed != NULL && resolve->probed_connectivity != NULL) {
    size_t count = gather_reports(resolve, batch, &reports, all);
    if (count > 0) {
      intake_probe_reports(script, &reports, take_repeats, resolve);
    }
    asked = count;
    count = gather_connectivity(resolve, batch, &connectivity);
    if (count > 0) {
      intake_probe_connectivity(script, &connectivity, take_connectivity_repeats, resolve);
    }
    asked += count;
  }
  keys_free(&reports);
  keys_free(&connectivity);
  if (asked == 0) {
    script_free(script);
    return NULL;
  }
  return script;
}

void resolve_repeated(struct resolve *resolve, struct batch *batch) {
  size_t kept = 0;
  (void)resolve;
  for (size_t i = 0; i < batch->row_count; i++) {
    if (batch->rows[i].message->outcome == OUTCOME_STORED) {
      batch->rows[kept++] = batch->rows[i];
    }
  }
  batch->row_count = kept;
}
