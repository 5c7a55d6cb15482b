// The connectivity model on simulated fleets: a month of event time in one process, no store, judged by the truth.
//
//   bench_connectivity --config FILE [--days N] [--quick] [--kind NAME] [--seed N] [--check]
//
// Each kind of device (kinds.c) is a fleet of its own with two models: one has its cadence in the registry, the other has not.
// Prints a line of JSON for each kind, and one of all. --check: ends with 1 when there are more false silents than the configured
// rate makes likely, or a scenario raised other alerts than one of its kind a device.
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/connectivity/witness.h"
#include "tests/bench/options.h"

enum { FULL_DAYS = 30, QUICK_DAYS = 2 };
static const int64_t second = 1000000;
static const int64_t day = 86400 * INT64_C(1000000);
static const int64_t start = INT64_C(480012) * 3600 * 1000000; // a noon
static const double unlikely = 0.001;                          // --check fails by chance so often
static const double first_day_rate = 0.01; // false silents a device, which --check takes on its first day, while it learns

struct run {
  const struct config_analysis *config;
  long days, seed;
  bool quick;
  struct fleet fleet;
  struct context context;
  struct timers due;    // actors
  struct actor *actors; // numbers from 1
  struct tally tally;
};

// What all kinds come to.
struct sum {
  double device_days, rate;
  uint64_t devices, observations, false_silent, early, false_link,
      wrong; // `wrong`: alerts that should not be, or are missing
  struct delays mains;
};

static int64_t whole(int64_t at) {
  return at / second * second;
}

// Event time goes on up to a whole second, as with the batches of ingest; times in which nobody is due are skipped.
static void pass_time(struct run *run, int64_t to) {
  const struct timers *timers = &run->fleet.timers;
  while (timers->count > 0 && timers->heap[0]->due <= to && run->context.now < to) {
    int64_t at = whole(timers->heap[0]->due + second - 1);
    at = at > run->context.now ? at : run->context.now + second;
    context_advance(&run->context, at < to ? at : to, start - 3600 * second);
    tally_take(&run->tally, &run->context);
  }
  if (to > run->context.now) {
    context_advance(&run->context, to, start - 3600 * second);
    tally_take(&run->tally, &run->context);
  }
}

static void speak(struct run *run, struct actor *actor) {
  struct absence before = actor->past;
  pass_time(run, whole(actor->timer.due));
  struct observation o = actor_speak(actor);
  context_observe(&run->context, &o);
  if (run->context.count > 0) {
    tally_take(&run->tally, &run->context);
  }
  if (actor->past.from != before.from) {
    tally_absence(&run->tally, &actor->past, actor->ends);
  }
  run->tally.observations++;
  if (actor->turn != TURN_NOTHING && !timers_arm(&run->due, &actor->timer, actor->timer.due)) {
    abort();
  }
}

static uint64_t seed_of(const struct run *run, const struct habit *habit, uint32_t device) {
  struct chance mixed = {.state = ((uint64_t)run->seed << 40) ^ ((uint64_t)(habit - habits) << 32) ^ device};
  return chance_bits(&mixed);
}

static bool populate(struct run *run, const struct habit *habit, uint32_t devices) {
  for (int32_t model = 1; model <= 2; model++) {
    struct model *made = fleet_model(&run->fleet, model);
    if (made == NULL) {
      return false;
    }
    made->class = habit->class;
    made->cadence = model == 1 ? habit->cadence : 0;
  }
  for (uint32_t i = 0; i < devices; i++) {
    char name[32];
    snprintf(name, sizeof name, "device-%" PRIu32, i + 1);
    const struct device_facts facts = {
        .id = (int32_t)i + 1, .credential = name, .model = 1 + (int32_t)(i % 2), .active = true, .created_at = start - day};
    struct actor *actor = &run->actors[i];
    actor_begin(actor, habit, facts.id, seed_of(run, habit, i), start, start + run->days * day);
    if (fleet_put(&run->fleet, &facts) == NULL || !timers_arm(&run->due, &actor->timer, actor->timer.due)) {
      return false;
    }
  }
  return true;
}

static bool simulate(struct run *run, const struct habit *habit) {
  const uint32_t devices = run->quick ? habit->quick_devices : habit->devices;
  const int64_t end = start + run->days * day;
  run->fleet = (struct fleet){0};
  run->context = (struct context){.config = run->config, .fleet = &run->fleet};
  run->actors = calloc(devices, sizeof *run->actors);
  bool ok = run->actors != NULL && tally_begin(&run->tally, habit, run->actors, devices) && populate(run, habit, devices);
  for (struct timer *next; ok && (next = timers_next(&run->due, end)) != NULL;) {
    speak(run, actor_of_timer(next));
  }
  pass_time(run, end);
  tally_end(&run->tally);
  fleet_clear(&run->fleet);
  context_free(&run->context);
  timers_free(&run->due);
  free(run->actors);
  return ok;
}

// --- telling

static json_t *number(double value) {
  return isnan(value) ? json_null() : json_real(value);
}

static json_t *delays_json(struct delays *delays) {
  return json_pack("{s:i, s:i, s:o, s:o}", "absences", (int)delays->absences, "found", (int)delays->count, "median",
                   number(delays_quantile(delays, 0.5)), "p95", number(delays_quantile(delays, 0.95)));
}

static void print(json_t *line) {
  char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
  puts(text);
  fflush(stdout);
  free(text);
  json_decref(line);
}

static json_t *silents_json(const struct tally *t) {
  return json_pack("{s:I, s:I, s:I, s:f}", "given", (json_int_t)t->false_silent[0], "unknown", (json_int_t)t->false_silent[1],
                   "early", (json_int_t)t->early, "bound",
                   poisson_upper(t->false_silent[0] + t->false_silent[1]) / t->device_days);
}

static void tell(struct tally *t) {
  print(json_pack("{s:s, s:i, s:f, s:I, s:o, s:I, s:I, s:I, s:f, s:f, s:o, s:o, s:s?, s:i, s:I}", "kind", t->habit->name,
                  "devices", (int)t->devices, "device_days", t->device_days, "observations", (json_int_t)t->observations,
                  "false_silent", silents_json(t), "false_link", (json_int_t)t->false_link, "true_silent",
                  (json_int_t)t->true_silent, "true_link", (json_int_t)t->true_link, "late_a_day",
                  (double)t->late / t->device_days, "rows_a_day", (double)t->rows / t->device_days, "deaths",
                  delays_json(&t->deaths), "unplugs", delays_json(&t->unplugs), "wanted", t->habit->alert, "devices_right",
                  (int)t->devices_right, "alerts", (json_int_t)t->alerts));
}

static void join_delays(struct delays *all, const struct delays *some) {
  double *grown = realloc(all->list, (all->count + some->count + 1) * sizeof *grown);
  if (grown == NULL) {
    abort();
  }
  all->list = grown;
  memcpy(all->list + all->count, some->list ? some->list : grown, some->count * sizeof *grown);
  all->count += some->count;
  all->absences += some->absences;
}

static void join(struct sum *sum, struct tally *t) {
  const uint64_t wanted = t->habit->alert != NULL ? t->devices : 0;
  sum->device_days += t->device_days;
  sum->observations += t->observations;
  sum->false_silent += t->false_silent[0] + t->false_silent[1];
  sum->early += t->early;
  sum->devices += t->devices;
  sum->false_link += t->false_link;
  sum->wrong += t->alerts - t->right + (wanted - (wanted > 0 ? t->devices_right : 0));
  if (strncmp(t->habit->name, "mains", 5) == 0) {
    join_delays(&sum->mains, &t->deaths);
    join_delays(&sum->mains, &t->unplugs);
  }
  free(t->deaths.list);
  free(t->unplugs.list);
}

static bool is_likely(const char *when, uint64_t silents, double device_days, double rate) {
  bool likely = silents == 0 || poisson_above(rate * device_days, silents - 1) >= unlikely;
  if (!likely) {
    fprintf(stderr, "bench_connectivity: %" PRIu64 " false silents in %.0f device-days %s, where %.4f a day are allowed\n",
            silents, device_days, when, rate);
  }
  return likely;
}

static bool is_fine(const struct sum *sum) {
  double first = (double)sum->devices;
  bool fine = is_likely("of first days", sum->early, first, first_day_rate);
  fine = is_likely("after the first", sum->false_silent - sum->early, sum->device_days - first, sum->rate) && fine;
  if (sum->wrong > 0) {
    fprintf(stderr, "bench_connectivity: %" PRIu64 " alerts are wrong or missing\n", sum->wrong);
  }
  return fine && sum->wrong == 0;
}

static void tell_sum(struct sum *sum) {
  print(json_pack("{s:s, s:I, s:f, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:o}", "kind", "all", "devices", (json_int_t)sum->devices,
                  "device_days", sum->device_days, "observations", (json_int_t)sum->observations, "false_silent",
                  (json_int_t)sum->false_silent, "early", (json_int_t)sum->early, "bound",
                  poisson_upper(sum->false_silent) / sum->device_days, "rate", sum->rate, "false_link",
                  (json_int_t)sum->false_link, "wrong_alerts", (json_int_t)sum->wrong, "mains", delays_json(&sum->mains)));
}

int main(int argc, char **argv) {
  const char *path = NULL;
  const char *kind = NULL;
  char error[512];
  struct run run = {.seed = 1};
  bool check = false;
  const struct option_row table[] = {{"config", &path, NULL, NULL},     {"kind", &kind, NULL, NULL},
                                     {"days", NULL, &run.days, NULL},   {"seed", NULL, &run.seed, NULL},
                                     {"quick", NULL, NULL, &run.quick}, {"check", NULL, NULL, &check},
                                     {NULL, NULL, NULL, NULL}};
  if (!options_take(argc, argv, table) || path == NULL) {
    fprintf(stderr, "bench_connectivity: --config is needed\n");
    return 2;
  }
  struct config *config = config_load(path, error, sizeof error);
  if (config == NULL) {
    fprintf(stderr, "bench_connectivity: %s\n", error);
    return 2;
  }
  struct sum sum = {.rate = config->analysis.connectivity.rate};
  bool ok = true;
  run.config = &config->analysis;
  run.days = run.days > 0 ? run.days : run.quick ? QUICK_DAYS : FULL_DAYS;
  for (const struct habit *habit = habits; ok && habit->name != NULL; habit++) {
    if (kind == NULL || strcmp(kind, habit->name) == 0) {
      ok = simulate(&run, habit);
      tell(&run.tally);
      join(&sum, &run.tally);
    }
  }
  tell_sum(&sum);
  ok = ok && (!check || is_fine(&sum));
  free(sum.mains.list);
  config_free(config);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
