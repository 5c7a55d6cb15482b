#include "common/config.h"

#include "common/document.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, NAME, PATH, HOST, UINT32, PORT, REAL };

// One row a setting: where it stands in the file, what it is, where it goes, its bounds, its default. `preset` NULL: must be
// given;
// "": may be absent.
struct setting {
  const char *field;
  enum kind kind;
  size_t offset;
  double least, most;
  const char *preset;
};

#define AT(member) offsetof(struct config, member)
static const struct setting settings[] = {
    {"store.host", HOST, AT(store.host), 0, 0, NULL},
    {"store.port", PORT, AT(store.port), 1, 65535, "5432"},
    {"store.database", TEXT, AT(store.database), 0, 0, "vedette"},
    {"store.ca", PATH, AT(store.ca), 0, 0, ""},
    {"store.certificate", PATH, AT(store.certificate), 0, 0, ""},
    {"store.key", PATH, AT(store.key), 0, 0, ""},
    {"broker.host", TEXT, AT(broker.host), 0, 0, NULL},
    {"broker.port", PORT, AT(broker.port), 1, 65535, "8884"},
    {"broker.ca", PATH, AT(broker.ca), 0, 0, NULL},
    {"broker.certificate", PATH, AT(broker.certificate), 0, 0, NULL},
    {"broker.key", PATH, AT(broker.key), 0, 0, NULL},
    {"ingest.worker", NAME, AT(ingest.worker), 0, 0, NULL},
    {"ingest.share", NAME, AT(ingest.share), 0, 0, "vedette"},
    {"ingest.mappings", PATH, AT(ingest.mappings), 0, 0, ""},
    {"ingest.journal.folder", PATH, AT(ingest.journal.folder), 0, 0, NULL},
    {"ingest.journal.segment_mib", UINT32, AT(ingest.journal.segment_mib), 1, 1024, "64"},
    {"ingest.journal.high_mib", UINT32, AT(ingest.journal.high_mib), 4, 1 << 24, "16384"},
    {"ingest.journal.low_mib", UINT32, AT(ingest.journal.low_mib), 2, 1 << 24, "12288"},
    {"ingest.journal.keep_mib", UINT32, AT(ingest.journal.keep_mib), 0, 1 << 24, "1024"},
    {"ingest.journal.sync_ms", UINT32, AT(ingest.journal.sync_ms), 0, 60000, "10"},
    {"ingest.batch.records", UINT32, AT(ingest.batch.records), 1, 20000, "2000"},
    {"ingest.batch.age_ms", UINT32, AT(ingest.batch.age_ms), 1, 10000, "100"},
    {"ingest.admission.device_rate", UINT32, AT(ingest.admission.device_rate), 0, 1000000, "1000"},
    {"ingest.admission.device_burst", UINT32, AT(ingest.admission.device_burst), 10, 1 << 30, "30000"},
    {"ingest.admission.gateway_rate", UINT32, AT(ingest.admission.gateway_rate), 0, 1000000, "5000"},
    {"ingest.admission.gateway_burst", UINT32, AT(ingest.admission.gateway_burst), 10, 1 << 30, "150000"},
    {"ingest.http.address", TEXT, AT(ingest.http.address), 0, 0, "127.0.0.1"},
    {"ingest.http.port", PORT, AT(ingest.http.port), 0, 65535, "0"},
    {"analysis.worker", NAME, AT(analysis.worker), 0, 0, NULL},
    {"analysis.poll_ms", UINT32, AT(analysis.poll_ms), 10, 60000, "200"},
    {"analysis.checkpoint_s", UINT32, AT(analysis.checkpoint_s), 1, 86400, "60"},
    {"analysis.alerts_a_day", REAL, AT(analysis.alerts_a_day), 0.001, 100000, "5"},
    {"analysis.series_most", UINT32, AT(analysis.series_most), 1, 100000000, "100000"},
    {"analysis.connectivity.rate", REAL, AT(analysis.connectivity.rate), 0.000001, 1, "0.0001"},
    {"analysis.connectivity.slack_s", REAL, AT(analysis.connectivity.slack_s), 0.1, 3600, "1.5"},
    {"analysis.connectivity.young", REAL, AT(analysis.connectivity.young), 1, 100, "3"},
    {"analysis.connectivity.learn_s", UINT32, AT(analysis.connectivity.learn_s), 0, 31536000, "3600"},
    {"analysis.connectivity.guard_s", UINT32, AT(analysis.connectivity.guard_s), 0, 3600, "10"},
    {"analysis.connectivity.frozen_learn_h", UINT32, AT(analysis.connectivity.frozen_learn_h), 0, 100000, "24"},
    {"analysis.connectivity.never_seen_h", UINT32, AT(analysis.connectivity.never_seen_h), 1, 100000, "168"},
    {"analysis.connectivity.blind_s", UINT32, AT(analysis.connectivity.blind_s), 5, 86400, "60"},
    {"analysis.rate.window_s", UINT32, AT(analysis.rate.window_s), 1, 3600, "10"},
    {"analysis.rate.deviations", REAL, AT(analysis.rate.deviations), 1, 1000, "6"},
    {"analysis.rate.ratio", REAL, AT(analysis.rate.ratio), 1, 1000, "3"},
    {"analysis.security.window_s", UINT32, AT(analysis.security.window_s), 10, 86400, "300"},
    {"analysis.security.malformed", UINT32, AT(analysis.security.malformed), 1, 1000000, "5"},
    {"analysis.security.login_failures", UINT32, AT(analysis.security.login_failures), 1, 1000000, "5"},
    {"analysis.http.address", TEXT, AT(analysis.http.address), 0, 0, "127.0.0.1"},
    {"analysis.http.port", PORT, AT(analysis.http.port), 0, 65535, "0"},
    {"keeper.compress_after_h", UINT32, AT(keeper.compress_after_h), 1, 1 << 20, "48"},
    {"keeper.share", REAL, AT(keeper.share), 0.01, 1, "0.1"},
    {"keeper.http.address", TEXT, AT(keeper.http.address), 0, 0, "127.0.0.1"},
    {"keeper.http.port", PORT, AT(keeper.http.port), 0, 65535, "0"},
};
enum { SETTINGS = sizeof settings / sizeof settings[0] };

struct loader {
  struct document document;
  struct config *config;
  bool given[SETTINGS];
};

static bool is_name(const char *text) {
  size_t length = strlen(text);
  return length > 0 && length <= 40 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

// Takes relative paths from the configuration file's folder.
static char *resolve(const struct loader *l, const char *text) {
  const char *slash = strrchr(l->document.path, '/');
  char *out = NULL;
  if (text[0] == '/' || slash == NULL) {
    return strdup(text);
  }
  return asprintf(&out, "%.*s/%s", (int)(slash - l->document.path), l->document.path, text) < 0 ? NULL : out;
}

static bool store_text(struct loader *l, const struct setting *s, size_t line, const char *text) {
  char **target = (char **)(void *)((char *)l->config + s->offset);
  if (text[0] == '\0') {
    return document_refuse(&l->document, line, s->field, "is empty");
  }
  if (s->kind == NAME && !is_name(text)) {
    return document_refuse(&l->document, line, s->field, "\"%.60s\" is not a name: 1 to 40 of a-z, 0-9 and -", text);
  }
  bool path = s->kind == PATH || (s->kind == HOST && strchr(text, '/') != NULL);
  *target = path ? resolve(l, text) : strdup(text);
  return *target != NULL || document_refuse(&l->document, line, s->field, "out of memory");
}

static bool store_number(struct loader *l, const struct setting *s, size_t line, const char *text) {
  char *target = (char *)l->config + s->offset;
  double number;
  if (!document_number(&l->document, line, s->field, text, s->kind != REAL, s->least, s->most, &number)) {
    return false;
  }
  if (s->kind == REAL) {
    memcpy(target, &number, sizeof number);
  } else if (s->kind == PORT) {
    memcpy(target, &(uint16_t){(uint16_t)number}, sizeof(uint16_t));
  } else {
    memcpy(target, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
  }
  return true;
}

static bool store_value(struct loader *l, const struct setting *s, size_t line, const char *text) {
  bool number = s->kind == UINT32 || s->kind == PORT || s->kind == REAL;
  return number ? store_number(l, s, line, text) : store_text(l, s, line, text);
}

static bool take_scalar(struct loader *l, const char *field, const yaml_node_t *value) {
  for (size_t i = 0; i < SETTINGS; i++) {
    if (strcmp(settings[i].field, field) == 0) {
      size_t line = document_line(value);
      if (l->given[i]) {
        return document_refuse(&l->document, line, field, "is given twice");
      }
      l->given[i] = true;
      return store_value(l, &settings[i], line, (const char *)value->data.scalar.value);
    }
  }
  return document_refuse(&l->document, document_line(value), field, "is not a setting");
}

static bool is_section(const char *field) {
  size_t length = strlen(field);
  for (size_t i = 0; i < SETTINGS; i++) {
    if (strncmp(settings[i].field, field, length) == 0 && settings[i].field[length] == '.') {
      return true;
    }
  }
  return false;
}

static bool take_mapping(struct loader *l, const char *prefix, const yaml_node_t *node) {
  for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
    const yaml_node_t *key = yaml_document_get_node(&l->document.yaml, pair->key);
    const yaml_node_t *value = yaml_document_get_node(&l->document.yaml, pair->value);
    char field[160];
    if (key->type != YAML_SCALAR_NODE) {
      return document_refuse(&l->document, document_line(key), prefix, "a key is not a word");
    }
    snprintf(field, sizeof field, "%s%s%.80s", prefix, prefix[0] ? "." : "", (const char *)key->data.scalar.value);
    bool section = is_section(field);
    if (section && value->type == YAML_MAPPING_NODE) {
      if (!take_mapping(l, field, value)) {
        return false;
      }
    } else if (section && !(value->type == YAML_SCALAR_NODE && value->data.scalar.length == 0)) {
      return document_refuse(&l->document, document_line(value), field, "is a section: its settings stand indented below it");
    } else if (!section && value->type != YAML_SCALAR_NODE) {
      return document_refuse(&l->document, document_line(value), field, "is not a section");
    } else if (!section && !take_scalar(l, field, value)) {
      return false;
    }
  }
  return true;
}

static bool complete(struct loader *l) {
  for (size_t i = 0; i < SETTINGS; i++) {
    const struct setting *s = &settings[i];
    if (l->given[i]) {
      continue;
    }
    if (s->preset == NULL) {
      return document_refuse(&l->document, 0, s->field, "is missing");
    }
    if (s->preset[0] != '\0' && !store_value(l, s, 0, s->preset)) {
      return false;
    }
  }
  const struct config_journal *j = &l->config->ingest.journal;
  if (j->low_mib >= j->high_mib) {
    return document_refuse(&l->document, 0, "ingest.journal.low_mib", "has to be below high_mib");
  }
  return true;
}

struct config *config_load(const char *path, char *error, size_t error_size) {
  struct loader l = {.document = {.path = path, .error = error, .error_size = error_size}};
  bool ok = false;
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    document_refuse(&l.document, 0, "", "cannot be read: %s; name the configuration with --config FILE or VEDETTE_CONFIG",
                    strerror(errno));
    return NULL;
  }
  l.config = calloc(1, sizeof *l.config);
  if (l.config == NULL) {
    document_refuse(&l.document, 0, "", "out of memory");
  } else if (document_read(&l.document, file)) {
    const yaml_node_t *root = yaml_document_get_root_node(&l.document.yaml);
    if (root == NULL || root->type != YAML_MAPPING_NODE) {
      document_refuse(&l.document, 0, "", "holds no settings");
    } else {
      ok = take_mapping(&l, "", root) && complete(&l);
    }
    yaml_document_delete(&l.document.yaml);
  }
  fclose(file);
  if (!ok) {
    config_free(l.config);
    return NULL;
  }
  return l.config;
}

void config_free(struct config *config) {
  if (config == NULL) {
    return;
  }
  for (size_t i = 0; i < SETTINGS; i++) {
    if (settings[i].kind <= HOST) {
      free(*(char **)(void *)((char *)config + settings[i].offset));
    }
  }
  free(config);
}

const char *config_default_path(void) {
  const char *path = getenv("VEDETTE_CONFIG");
  return path != NULL && path[0] != '\0' ? path : "/etc/vedette/vedette.yaml";
}

// Appends `key='value'` with the quoting of libpq connection strings. False if it does not fit.
static bool append(char *out, size_t size, const char *key, const char *value) {
  size_t used = strlen(out);
  int more = snprintf(out + used, size - used, "%s%s='", used ? " " : "", key);
  used += more > 0 ? (size_t)more : 0;
  for (; *value != '\0' && used + 4 < size; value++) {
    if (*value == '\'' || *value == '\\') {
      out[used++] = '\\';
    }
    out[used++] = *value;
  }
  if (*value != '\0' || used + 2 >= size) {
    return false;
  }
  out[used++] = '\'';
  out[used] = '\0';
  return true;
}

bool config_conninfo(const struct config_store *store, const char *role, char *out, size_t size) {
  char port[8];
  char here[4096] = "";
  snprintf(port, sizeof port, "%u", store->port);
  out[0] = '\0';
  bool local = strchr(store->host, '/') != NULL;
  if (local && store->host[0] != '/') { // libpq takes only absolute folders for sockets
    char *absolute = realpath(store->host, NULL);
    snprintf(here, sizeof here, "%s", absolute ? absolute : store->host);
    free(absolute);
  }
  bool ok = append(out, size, "host", here[0] ? here : store->host) && append(out, size, "port", port) &&
            append(out, size, "dbname", store->database) && append(out, size, "user", role);
  if (!local) {
    ok = ok && append(out, size, "sslmode", "verify-full");
    ok = ok && (store->ca == NULL || append(out, size, "sslrootcert", store->ca));
    ok = ok && (store->certificate == NULL || append(out, size, "sslcert", store->certificate));
    ok = ok && (store->key == NULL || append(out, size, "sslkey", store->key));
  }
  return ok;
}
