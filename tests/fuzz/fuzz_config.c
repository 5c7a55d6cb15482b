// config_load: every file is either a configuration or one clear line.
#include "common/config.h"
#include "tests/fuzz/input.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char error[512] = "";
  char conninfo[1024];
  struct config *config = config_load(input_file(data, size), error, sizeof error);
  CHECK(config != NULL || (error[0] != '\0' && strlen(error) < sizeof error));
  if (config != NULL) {
    CHECK(config->store.host != NULL && config->ingest.worker != NULL && config->ingest.journal.folder != NULL);
    CHECK(config->ingest.journal.low_mib < config->ingest.journal.high_mib);
    if (config_conninfo(&config->store, "vedette_ingest", conninfo, sizeof conninfo)) {
      CHECK(strlen(conninfo) < sizeof conninfo);
    }
  }
  config_free(config);
  return 0;
}
