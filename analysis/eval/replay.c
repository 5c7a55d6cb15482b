#include "analysis/eval/replay.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/csv.h"

enum { ROW_S = 300, PATH_SIZE = 4096 };
static const int64_t second = 1000000;

struct walk {
  struct cli *cli;
  const struct replay_scorer *scorer;
  struct replay_counts *counts;
};

// One file on its way through.
struct passage {
  const char *name; // of the file read, for messages
  struct csv *csv;
  FILE *in, *out;
  bool timed;
  size_t metrics;
  double values[CSV_FIELDS];
};

static int fail(const struct walk *walk, const char *what, const char *path) {
  return cli_fail(walk->cli, CLI_FAILED, "%s: %s: %s", path, what, strerror(errno));
}

static bool read_time(const char *text, int64_t *time) {
  struct tm parts = {0};
  char *end;
  double seconds = strtod(text, &end);
  if (end != text && *end == '\0' && fabs(seconds) < 1e11) {
    *time = (int64_t)(seconds * (double)second);
    return true;
  }
  const char *rest = strptime(text, "%Y-%m-%d", &parts);
  rest = rest != NULL && (*rest == ' ' || *rest == 'T') ? strptime(rest + 1, "%H:%M:%S", &parts) : NULL;
  if (rest == NULL || (*rest != '\0' && *rest != '.')) {
    return false;
  }
  *time = timegm(&parts) * second;
  return true;
}

// Infinities and what is no number are readings that are missing.
static double read_value(const char *text) {
  char *end;
  double value = strtod(text, &end);
  return end == text || *end != '\0' || isinf(value) ? NAN : value;
}

static int begin(const struct walk *walk, const char *folder, struct passage *p) {
  const char *names[CSV_FIELDS];
  if (csv_next(p->csv) != CSV_RECORD) {
    return cli_fail(walk->cli, CLI_FAILED, "%s: there is no heading", p->name);
  }
  p->timed = strcmp(csv_field(p->csv, 0), "timestamp") == 0;
  p->metrics = csv_count(p->csv) - p->timed;
  for (size_t i = 0; i < p->metrics; i++) {
    names[i] = csv_field(p->csv, i + p->timed);
  }
  if (!walk->scorer->begin(walk->scorer->arg, folder, names, p->metrics)) {
    return cli_fail(walk->cli, CLI_FAILED, "%s: out of memory", p->name);
  }
  return fprintf(p->out, "%sanomaly_score\n", p->timed ? "timestamp," : "") < 0 ? fail(walk, "cannot be written", p->name)
                                                                                : CLI_FINE;
}

static int pass_row(const struct walk *walk, struct passage *p, unsigned long row) {
  int64_t time = (int64_t)row * ROW_S * second;
  if (csv_count(p->csv) != p->metrics + p->timed) {
    return cli_fail(walk->cli, CLI_FAILED, "%s: line %lu has %zu fields, the heading %zu", p->name, csv_line(p->csv),
                    csv_count(p->csv), p->metrics + p->timed);
  }
  if (p->timed && !read_time(csv_field(p->csv, 0), &time)) {
    return cli_fail(walk->cli, CLI_FAILED, "%s: line %lu: '%s' is no time", p->name, csv_line(p->csv), csv_field(p->csv, 0));
  }
  for (size_t i = 0; i < p->metrics; i++) {
    p->values[i] = read_value(csv_field(p->csv, i + p->timed));
  }
  double score = walk->scorer->row(walk->scorer->arg, p->values, time);
  walk->counts->rows++;
  walk->counts->alerts += score >= 0.5;
  int written = p->timed ? fprintf(p->out, "%s,%.6g\n", csv_field(p->csv, 0), score) : fprintf(p->out, "%.6g\n", score);
  return written < 0 ? fail(walk, "cannot be written", p->name) : CLI_FINE;
}

static int pass_rows(const struct walk *walk, const char *folder, struct passage *p) {
  int code = begin(walk, folder, p);
  for (unsigned long row = 0; code == CLI_FINE; row++) {
    enum csv_result result = csv_next(p->csv);
    if (result == CSV_END) {
      break;
    }
    if (result == CSV_RECORD) {
      code = pass_row(walk, p, row);
    } else if (result == CSV_BAD) {
      code = cli_fail(walk->cli, CLI_FAILED, "%s: line %lu: %s", p->name, csv_line(p->csv), csv_problem(p->csv));
    } else {
      code = fail(walk, "cannot be read", p->name);
    }
  }
  return code;
}

static int pass_file(const struct walk *walk, const char *folder, const char *from, const char *to) {
  int code;
  struct passage p = {.name = from, .in = fopen(from, "re"), .out = fopen(to, "we")};
  if (p.in == NULL || p.out == NULL) {
    code = fail(walk, p.in == NULL ? "cannot be read" : "cannot be written", p.in == NULL ? from : to);
  } else if ((p.csv = csv_open(p.in)) == NULL) {
    code = cli_fail(walk->cli, CLI_FAILED, "out of memory");
  } else {
    code = pass_rows(walk, folder, &p);
  }
  csv_close(p.csv);
  if (p.in != NULL) {
    (void)fclose(p.in); // it was only read
  }
  if (p.out != NULL && fclose(p.out) != 0 && code == CLI_FINE) {
    code = fail(walk, "cannot be written", to);
  }
  walk->counts->files += code == CLI_FINE;
  return code;
}

static bool join(char out[PATH_SIZE], const char *folder, const char *name) {
  int length = snprintf(out, PATH_SIZE, "%s/%s", folder, name);
  return length > 0 && length < PATH_SIZE;
}

static bool is_csv(const char *name) {
  size_t length = strlen(name);
  return length > 4 && strcmp(name + length - 4, ".csv") == 0;
}

static int pass_folder(const struct walk *walk, const char *from, const char *to);

static int pass_entry(const struct walk *walk, const char *from, const char *to, const char *name) {
  char source[PATH_SIZE];
  char target[PATH_SIZE];
  struct stat about;
  if (name[0] == '.') {
    return CLI_FINE;
  }
  if (!join(source, from, name) || !join(target, to, name)) {
    errno = ENAMETOOLONG;
    return fail(walk, "cannot be read", from);
  }
  if (stat(source, &about) != 0) {
    return fail(walk, "cannot be read", source);
  }
  if (S_ISDIR(about.st_mode)) {
    return pass_folder(walk, source, target);
  }
  return is_csv(name) ? pass_file(walk, from, source, target) : CLI_FINE;
}

static int pass_folder(const struct walk *walk, const char *from, const char *to) {
  struct dirent **entries;
  int code = CLI_FINE;
  int count = scandir(from, &entries, NULL, alphasort);
  if (count < 0) {
    return fail(walk, "cannot be read", from);
  }
  if (mkdir(to, 0777) != 0 && errno != EEXIST) {
    code = fail(walk, "cannot be made", to);
  }
  for (int i = 0; i < count; i++) {
    code = code == CLI_FINE ? pass_entry(walk, from, to, entries[i]->d_name) : code;
    free(entries[i]);
  }
  free((void *)entries);
  return code;
}

// The folders above `path` that are missing.
static void make_parents(const char *path) {
  char part[PATH_SIZE];
  for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    size_t length = (size_t)(slash - path);
    if (length < PATH_SIZE) {
      memcpy(part, path, length);
      part[length] = '\0';
      (void)mkdir(part, 0777); // what does not work shows when the last one is made
    }
  }
}

int replay_folder(struct cli *cli, const char *data, const char *out, const struct replay_scorer *scorer,
                  struct replay_counts *counts) {
  struct walk walk = {cli, scorer, counts};
  char inner[PATH_SIZE];
  struct stat about;
  bool nested = join(inner, data, "data") && stat(inner, &about) == 0 && S_ISDIR(about.st_mode);
  make_parents(out);
  int code = pass_folder(&walk, nested ? inner : data, out);
  if (code == CLI_FINE && counts->files == 0) {
    return cli_fail(cli, CLI_FAILED, "%s: there is no .csv file in it", data);
  }
  return code;
}
