#include "keeper/keeper.h"

#include "common/log.h"
#include "storage/link.h"
#include "storage/packing.h"
#include "storage/upkeep.h"

#include <inttypes.h>
#include <stdlib.h>

#define SECONDS(n) ((n)*INT64_C(1000000))

enum { ROLLUPS = 200 };      // hours of devices in a turn
enum { LATE_REPORTS = 500 }; // of a compressed day: when so many came later, they are compressed too

// A chore is done in turns of a few scripts, so that none keeps the others waiting. `next` gives the script of a turn that is to
// follow the last one, the first where `begin` is set; NULL ends the turn. It sets keeper->more where another turn should follow,
// keeper->failed where it cannot go on.
struct chore {
  const char *name;
  int64_t every_us, again_us; // when it is due again after it was done, or failed
  struct script *(*next)(struct keeper *keeper, bool begin);
};

static struct script *next_partitions(struct keeper *keeper, bool begin);
static struct script *next_prune(struct keeper *keeper, bool begin);
static struct script *next_erasures(struct keeper *keeper, bool begin);
static struct script *next_rollup(struct keeper *keeper, bool begin);
static struct script *next_compress(struct keeper *keeper, bool begin);

static const struct chore chores[] = {
    {"partitions", SECONDS(600), SECONDS(60), next_partitions}, {"prune", SECONDS(3600), SECONDS(60), next_prune},
    {"erasures", SECONDS(60), SECONDS(60), next_erasures},      {"rollup", SECONDS(60), SECONDS(60), next_rollup},
    {"compress", SECONDS(600), SECONDS(60), next_compress},
};
enum { CHORES = sizeof chores / sizeof *chores };

struct keeper {
  struct link *link;
  struct event *timer;
  struct config_keeper config;
  int32_t unerased;  // devices of an erasure that are left
  int32_t rolled_up; // in the last turn …
  uint64_t rollups;  // … and in all
  struct packing *packing;
  enum { LOOKING, READING, WRITING, ENDING } stage; // of compression
  int64_t due_us[CHORES];                           // steady clock
  struct keeper_chore told[CHORES];
  size_t at;          // the chore whose turn it is; CHORES: none
  int64_t started_us; // when the turn was
  bool more;          // it is not done with this turn
  bool failed;        // a step of it did, without the store
  bool connected;
  void (*stopped)(void *arg); // set: stopping
  void *stopped_arg;
};

// --- the chores

static struct script *next_partitions(struct keeper *keeper, bool begin) {
  (void)keeper;
  return begin ? upkeep_partitions() : NULL;
}

static struct script *next_prune(struct keeper *keeper, bool begin) {
  (void)keeper;
  return begin ? upkeep_prune() : NULL;
}

static struct script *next_erasures(struct keeper *keeper, bool begin) {
  if (begin) {
    return upkeep_erasures(&keeper->unerased);
  }
  keeper->more = keeper->unerased > 0;
  return NULL;
}

static struct script *next_rollup(struct keeper *keeper, bool begin) {
  if (begin) {
    return upkeep_rollups(ROLLUPS, &keeper->rolled_up);
  }
  keeper->rollups += (uint64_t)keeper->rolled_up;
  keeper->more = keeper->rolled_up == ROLLUPS;
  return NULL;
}

// A turn looks for a day unless it is in the midst of one, reads a piece of it, and writes it, or ends the day.
static struct script *next_compress(struct keeper *keeper, bool begin) {
  struct packing *packing = keeper->packing;
  if (begin && keeper->stage != WRITING) {
    keeper->stage = LOOKING;
    return packing_next(packing, keeper->config.compress_after_h * 3600, LATE_REPORTS);
  }
  if (begin || (keeper->stage == LOOKING && packing_day(packing)[0] != '\0')) {
    keeper->stage = READING;
    return packing_read(packing);
  }
  if (keeper->stage == READING && packing_count(packing) < 0) {
    log_error("out of memory for reports to compress", "day=%s", packing_day(packing));
    keeper->stage = LOOKING;
    keeper->failed = true;
    return NULL;
  }
  if (keeper->stage == READING) {
    keeper->stage = packing_count(packing) > 0 ? WRITING : ENDING;
    return keeper->stage == WRITING ? packing_write(packing) : packing_finish(packing);
  }
  keeper->more = keeper->stage != LOOKING;
  return NULL;
}

// --- turns

static void look(struct keeper *keeper);
static void go_on(struct keeper *keeper, bool begin);

static void end_turn(struct keeper *keeper, bool good) {
  const struct chore *chore = &chores[keeper->at];
  struct keeper_chore *told = &keeper->told[keeper->at];
  int64_t now = clock_steady_us();
  // What can wait leaves time to others: after a turn it rests.
  int64_t rest_us = (int64_t)((double)(now - keeper->started_us) * (1 / keeper->config.share - 1));
  told->done += good;
  told->failed += !good;
  told->overdue = !good;
  keeper->due_us[keeper->at] = now + (!good ? chore->again_us : keeper->more ? rest_us : chore->every_us);
  keeper->at = CHORES;
  look(keeper);
}

static void on_done(const struct link_result *result, void *arg) {
  struct keeper *keeper = arg;
  const struct chore *chore = &chores[keeper->at];
  if (result->outcome == LINK_DONE) {
    go_on(keeper, false);
    return;
  }
  char quoted[320];
  log_warn("a chore failed; it is tried again", "chore=%s in_s=%" PRId64 " sqlstate=%s error=%s", chore->name,
           chore->again_us / SECONDS(1), result->sqlstate, log_quote(quoted, sizeof quoted, result->message));
  keeper->stage = LOOKING;
  end_turn(keeper, false);
}

// Runs what the turn has next, or ends it.
static void go_on(struct keeper *keeper, bool begin) {
  struct script *script = chores[keeper->at].next(keeper, begin);
  if (script == NULL && !begin) {
    end_turn(keeper, !keeper->failed);
  } else if (!link_run(keeper->link, script, on_done, keeper)) {
    on_done(&(struct link_result){.outcome = LINK_FAILED, .message = "out of memory"}, keeper);
  }
}

static size_t next_due(const struct keeper *keeper) {
  size_t next = 0;
  for (size_t i = 1; i < CHORES; i++) {
    next = keeper->due_us[i] < keeper->due_us[next] ? i : next;
  }
  return next;
}

// Begins the turn that is due, or waits until one is.
static void look(struct keeper *keeper) {
  if (keeper->stopped != NULL && keeper->at == CHORES) {
    keeper->stopped(keeper->stopped_arg);
    return;
  }
  if (!link_is_idle(keeper->link)) {
    return; // on_up or on_done comes back here
  }
  size_t next = next_due(keeper);
  int64_t now = clock_steady_us();
  if (keeper->due_us[next] > now) {
    struct timeval wait = loop_ms((uint32_t)((keeper->due_us[next] - now) / 1000 + 1));
    evtimer_add(keeper->timer, &wait);
    return;
  }
  keeper->at = next;
  keeper->started_us = now;
  keeper->more = keeper->failed = false;
  go_on(keeper, true);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  look(arg);
}

static void on_up(void *arg) {
  struct keeper *keeper = arg;
  keeper->connected = true;
  for (size_t i = 0; i < CHORES; i++) {
    keeper->due_us[i] = 0; // it may be another database, or a long time since
  }
  look(keeper);
}

static void on_down(void *arg) {
  struct keeper *keeper = arg;
  keeper->connected = false;
  evtimer_del(keeper->timer);
}

struct keeper *keeper_new(struct loop *loop, const struct config *config) {
  char conninfo[1024];
  struct keeper *keeper = calloc(1, sizeof *keeper);
  if (keeper == NULL || !config_conninfo(&config->store, "vedette_keeper", conninfo, sizeof conninfo)) {
    free(keeper);
    log_error("out of memory", "");
    return NULL;
  }
  keeper->at = CHORES;
  keeper->config = config->keeper;
  for (size_t i = 0; i < CHORES; i++) {
    keeper->told[i] = (struct keeper_chore){.name = chores[i].name, .overdue = true};
  }
  keeper->packing = packing_new();
  keeper->timer = evtimer_new(loop_base(loop), on_timer, keeper);
  keeper->link = link_new(loop, conninfo, "vedette-keeper", &(struct link_events){on_up, on_down, keeper});
  if (keeper->packing == NULL || keeper->timer == NULL || keeper->link == NULL) {
    log_error("out of memory", "");
    keeper_free(keeper);
    return NULL;
  }
  return keeper;
}

void keeper_free(struct keeper *keeper) {
  if (keeper != NULL) {
    link_free(keeper->link);
    packing_free(keeper->packing);
    if (keeper->timer != NULL) {
      event_free(keeper->timer);
    }
    free(keeper);
  }
}

void keeper_stop(struct keeper *keeper, void (*stopped)(void *arg), void *arg) {
  keeper->stopped = stopped;
  keeper->stopped_arg = arg;
  look(keeper);
}

struct keeper_stats keeper_stats(const struct keeper *keeper) {
  struct packing_totals totals = packing_totals(keeper->packing);
  return (struct keeper_stats){.connected = keeper->connected,
                               .chores = keeper->told,
                               .chore_count = CHORES,
                               .rollups = keeper->rollups,
                               .reports_compressed = totals.reports,
                               .samples_compressed = totals.samples};
}
