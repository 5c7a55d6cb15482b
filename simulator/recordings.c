// Finds the recordings below a folder and gives each a device name.
#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/names.h"
#include "simulator/recording.h"

static bool is_csv(const FTSENT *entry) {
  return entry->fts_info == FTS_F && entry->fts_name[0] != '.' && entry->fts_namelen > 4 &&
         strcmp(entry->fts_name + entry->fts_namelen - 4, ".csv") == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b) {
  return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int append(struct recordings *out, struct recording *recording) {
  struct recording **items = realloc(out->items, (out->count + 1) * sizeof(struct recording *));
  if (items == NULL || out->count >= RECORDING_FILES_MAX) {
    out->items = items != NULL ? items : out->items;
    return -1;
  }
  out->items = items;
  items[out->count++] = recording;
  return 0;
}

static int load_all(FTS *tree, struct recordings *out, char *error, size_t error_size) {
  const FTSENT *entry = NULL;
  while ((entry = fts_read(tree)) != NULL) {
    if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
      snprintf(error, error_size, "%s: cannot be read: %s", entry->fts_path, strerror(entry->fts_errno));
      return -1;
    }
    if (!is_csv(entry)) {
      continue;
    }
    struct recording *recording = recording_load(entry->fts_path, error, error_size);
    if (recording == NULL) {
      return -1;
    }
    if (append(out, recording) != 0) {
      recording_free(recording);
      snprintf(error, error_size, "%s: too many recordings (limit %d)", entry->fts_path, RECORDING_FILES_MAX);
      return -1;
    }
  }
  return 0;
}

// The last `parts` components of the path without `.csv`, joined by `-`.
static void stem(const char *path, size_t parts, char *out, size_t size) {
  const char *begin = path + strlen(path);
  while (begin > path && parts > 0) {
    begin--;
    if (*begin == '/') {
      parts--;
    }
  }
  begin += *begin == '/';
  snprintf(out, size, "%s", begin);
  size_t length = strlen(out);
  if (length > 4) {
    out[length - 4] = '\0';
  }
}

static int name_one(struct recording *recording, const char *prefix, size_t parts) {
  char raw[256];
  char credential[NAMES_CREDENTIAL_MAX + 1];
  stem(recording->path, parts, raw, sizeof raw);
  names_credential(prefix, raw, credential, sizeof credential);
  free(recording->credential);
  recording->credential = strdup(credential);
  return recording->credential != NULL ? 0 : -1;
}

static bool shared(const struct recordings *all, size_t index) {
  for (size_t i = 0; i < all->count; i++) {
    if (i != index && strcmp(all->items[i]->credential, all->items[index]->credential) == 0) {
      return true;
    }
  }
  return false;
}

// Gives those whose names clash one more folder each, until all differ.
static int name_all(const struct recordings *all, const char *prefix, char *error, size_t error_size) {
  bool *clash = calloc(all->count, sizeof *clash);
  bool again = true;
  int rc = clash != NULL ? 0 : -1;
  for (size_t i = 0; rc == 0 && i < all->count; i++) {
    rc = name_one(all->items[i], prefix, 1);
  }
  for (size_t parts = 2; rc == 0 && again && parts < 8; parts++) {
    again = false;
    for (size_t i = 0; i < all->count; i++) {
      clash[i] = shared(all, i);
      again = again || clash[i];
    }
    for (size_t i = 0; rc == 0 && i < all->count; i++) {
      rc = clash[i] ? name_one(all->items[i], prefix, parts) : 0;
    }
  }
  for (size_t i = 0; rc == 0 && i < all->count; i++) {
    if (shared(all, i)) {
      snprintf(error, error_size, "%s: its device name %s is taken by another file; rename one", all->items[i]->path,
               all->items[i]->credential);
      rc = -1;
      break;
    }
  }
  free(clash);
  return rc;
}

int recordings_find(const char *folder, const char *prefix, struct recordings *out, char *error, size_t error_size) {
  char *root = strdup(folder);
  char *const roots[] = {root, NULL};
  FTS *tree = NULL;
  int rc = -1;
  *out = (struct recordings){0};
  snprintf(error, error_size, "%s: out of memory", folder);
  if (root == NULL || (tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name)) == NULL) {
    goto done;
  }
  if (load_all(tree, out, error, error_size) != 0) {
    goto done;
  }
  if (out->count == 0) {
    snprintf(error, error_size, "%s: there is no *.csv file in it", folder);
    goto done;
  }
  rc = name_all(out, prefix, error, error_size);
done:
  if (tree != NULL) {
    fts_close(tree);
  }
  free(root);
  if (rc != 0) {
    recordings_free(out);
  }
  return rc;
}

void recordings_free(struct recordings *recordings) {
  for (size_t i = 0; i < recordings->count; i++) {
    recording_free(recordings->items[i]);
  }
  free(recordings->items);
  *recordings = (struct recordings){0};
}
