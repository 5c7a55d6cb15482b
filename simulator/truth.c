#include "simulator/truth.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

enum { TIME_SIZE = 32 };

struct truth {
  FILE *file;
  bool failed;
};

struct truth *truth_open(const char *path, char *error, size_t error_size) {
  struct truth *truth = calloc(1, sizeof *truth);
  if (truth == NULL || (truth->file = fopen(path, "ae")) == NULL) {
    snprintf(error, error_size, "%s: cannot be written: %s", path, truth == NULL ? "out of memory" : strerror(errno));
    free(truth);
    return NULL;
  }
  return truth;
}

void truth_close(struct truth *truth) {
  if (truth == NULL) {
    return;
  }
  if (fclose(truth->file) != 0 && !truth->failed) {
    log_error("truth file could not be closed", "reason=%d", errno);
  }
  free(truth);
}

const char *truth_quote(char *out, size_t size, const char *text) {
  size_t used = 0;
  out[used++] = '"';
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0' && used + 8 < size; c++) {
    if (*c == '"' || *c == '\\') {
      out[used++] = '\\';
      out[used++] = (char)*c;
    } else if (*c < 0x20) {
      used += (size_t)snprintf(out + used, size - used, "\\u%04x", *c);
    } else {
      out[used++] = (char)*c;
    }
  }
  out[used++] = '"';
  out[used] = '\0';
  return out;
}

void truth_time(int64_t time, char *out) {
  time_t seconds = (time_t)(time / 1000000);
  struct tm utc;
  gmtime_r(&seconds, &utc);
  size_t used = strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(out + used, TIME_SIZE - used, ".%03dZ", (int)(time / 1000 % 1000));
}

void truth_write(struct truth *truth, const struct truth_line *line) {
  if (truth == NULL) {
    return;
  }
  char fault[300];
  char device[300];
  char through[300] = "";
  char expect[300] = "";
  char start[TIME_SIZE];
  char end[TIME_SIZE];
  truth_time(line->start, start);
  truth_time(line->end, end);
  fprintf(truth->file, "{\"fault\":%s,\"kind\":\"%s\",\"device\":%s,", truth_quote(fault, sizeof fault, line->fault), line->kind,
          truth_quote(device, sizeof device, line->device));
  if (line->through != NULL) {
    fprintf(truth->file, "\"through\":%s,", truth_quote(through, sizeof through, line->through));
  }
  if (line->expect != NULL) {
    fprintf(truth->file, "\"expect\":%s,", truth_quote(expect, sizeof expect, line->expect));
  }
  fprintf(truth->file, "\"start\":\"%s\",\"end\":", start);
  if (line->end != 0) {
    fprintf(truth->file, "\"%s\"}\n", end);
  } else {
    fputs("null}\n", truth->file);
  }
  if (fflush(truth->file) != 0 && !truth->failed) {
    truth->failed = true;
    log_error("truth file could not be written", "reason=%d", errno);
  }
}
