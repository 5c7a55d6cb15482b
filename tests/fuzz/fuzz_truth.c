// The reader of truth files, and the match: every file is either truths in order or one clear line, and the sums come out.
#include "analysis/eval/match.h"
#include "tests/fuzz/input.h"

#include <string.h>

enum { RAISES = 6 };

static void check_truths(const struct truths *truths) {
  for (size_t i = 0; i < truths->count; i++) {
    const struct truth *truth = &truths->list[i];
    CHECK(truth->fault != NULL && truth->kind != NULL && truth->device != NULL && truth->end >= truth->start);
    CHECK(i == 0 || strcmp(truths->list[i - 1].device, truth->device) <= 0);
  }
}

// Things raised about the devices of the first truths, and of one that there is not.
static void raise_some(const struct truths *truths, struct raise *raises) {
  for (size_t i = 0; i < RAISES; i++) {
    const struct truth *truth = i < truths->count ? &truths->list[i] : NULL;
    raises[i] = (struct raise){.device = truth != NULL ? truth->device : "nobody",
                               .kind = truth != NULL && truth->expect != NULL ? truth->expect : kinds[i].name,
                               .at = truth != NULL ? truth->start + (int64_t)i : 0,
                               .judged = true};
  }
}

static void check_match(const struct match *match, const struct truths *truths) {
  size_t raised = 0;
  size_t judged = 0;
  for (size_t i = 0; i < match->figures_count; i++) {
    const struct figures *f = &match->figures[i];
    CHECK(f->raised == f->true_positives + f->false_positives + f->repeats + f->excused && f->truths == f->found + f->missed);
    CHECK(f->found == 0 || (f->delay_median >= 0 && f->delay_p95 >= 0));
    raised += f->raised;
    judged += f->truths;
  }
  CHECK(raised == RAISES && judged <= truths->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char error[512] = "";
  struct truths truths;
  struct raise raises[RAISES];
  struct match match;
  const struct match_window window = {INT64_MIN, INT64_MAX, 60000000};
  FILE *in = fopen(input_file(data, size), "re");
  CHECK(in != NULL);
  bool read = truths_read(in, "truth", &truths, error, sizeof error);
  CHECK(fclose(in) == 0 && read == (error[0] == '\0') && strlen(error) < sizeof error);
  if (read) {
    check_truths(&truths);
    raise_some(&truths, raises);
    CHECK(match_run(&truths, raises, RAISES, &window, &match));
    check_match(&match, &truths);
    match_free(&match);
  }
  truths_free(&truths);
  return 0;
}
