#include "storage/upkeep.h"

#include "storage/list.h"

#include <stdlib.h>

struct script *upkeep_partitions(void) {
  struct script *script = script_new();
  script_add(script, "SELECT * FROM store.housekeep()", 0, NULL, NULL, NULL);
  return script;
}

static void take_count(const PGresult *rows, void *arg) {
  int32_t *count = arg;
  *count = (int32_t)strtol(PQgetvalue(rows, 0, 0), NULL, 10);
}

struct script *upkeep_rollups(int32_t most, int32_t *made) {
  struct script *script = script_new();
  struct decimal limit = decimal(most);
  const char *parameters[] = {limit.text};
  script_add(script, "SELECT store.roll_up($1)", 1, parameters, take_count, made);
  return script;
}

struct script *upkeep_erasures(int32_t *left) {
  struct script *script = script_new();
  script_add(script, "SELECT store.finish_erasures()", 0, NULL, take_count, left);
  return script;
}

struct script *upkeep_prune(void) {
  struct script *script = script_new();
  script_add(script, "SELECT store.prune(), store.prune_sequences(), store.prune_connectivity()", 0, NULL, NULL, NULL);
  return script;
}
