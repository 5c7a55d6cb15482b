#include "ingest/mapping_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
  MAPPINGS_LIMIT = 16 * 1024 * 1024, // bytes of all mappings
  TREE_LIMIT = 2 * 1024 * 1024,      // … and of one message's JSON: 1,024 objects of five members take a third
};

static int is_mapping_file(const struct dirent *entry) {
  size_t length = strlen(entry->d_name);
  return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

static bool read_folder(struct mappings *mappings, const char *folder, char *error, size_t error_size) {
  struct dirent **entries;
  int count = scandir(folder, &entries, is_mapping_file, alphasort);
  bool ok = count >= 0;
  if (!ok) {
    snprintf(error, error_size, "%s: the mappings cannot be read: %s", folder, strerror(errno));
    return false;
  }
  for (int i = 0; i < count; i++) {
    char *path = NULL;
    if (ok && asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0) {
      snprintf(error, error_size, "%s: out of memory", folder);
      path = NULL;
    }
    ok = ok && path != NULL && mapping_read_file(mappings, path, error, error_size);
    free(path);
    free(entries[i]);
  }
  free(entries);
  return ok;
}

struct mappings *mappings_load(const char *path, char *error, size_t error_size) {
  struct stat status;
  struct mappings *mappings = calloc(1, sizeof *mappings);
  if (mappings == NULL || (mappings->region = region_new(MAPPINGS_LIMIT)) == NULL ||
      (mappings->tree = region_new(TREE_LIMIT)) == NULL) {
    snprintf(error, error_size, "mappings: out of memory");
    mappings_free(mappings);
    return NULL;
  }
  mapping_take_over_jansson();
  mappings->decoder.decode = mapping_decode;
  if (path == NULL) {
    return mappings;
  }
  bool folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
  if (!(folder ? read_folder : mapping_read_file)(mappings, path, error, error_size)) {
    mappings_free(mappings);
    return NULL;
  }
  return mappings;
}

void mappings_free(struct mappings *mappings) {
  if (mappings != NULL) {
    region_free(mappings->region);
    region_free(mappings->tree);
    free(mappings);
  }
}

size_t mappings_count(const struct mappings *mappings) {
  return mappings->count;
}

const char *mappings_filter(const struct mappings *mappings, size_t place) {
  return mappings->list[place]->filter.text;
}

struct decoder *mappings_decoder(struct mappings *mappings) {
  return &mappings->decoder;
}
