// vedette-agent: this Linux machine as a device of Vedette. One thread owns everything here; see link.h for Paho's.
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "docs/examples/agent/authlog.h"
#include "docs/examples/agent/files.h"
#include "docs/examples/agent/follow.h"
#include "docs/examples/agent/options.h"
#include "docs/examples/agent/queue.h"
#include "docs/examples/agent/report.h"
#include "docs/examples/agent/session.h"
#include "docs/examples/agent/snapshot.h"

enum {
  FIRST_MS = 1000,     // from the start to the first report: the first interval that traffic is counted over
  ONCE_MAX_MS = 30000, // --once gives up after this
  DECLARE_EVERY = 100, // firmware and declarations are told in the first report and again in each so many
};

struct agent {
  struct options options;
  struct report_boot boot;
  uint64_t sequence;
  struct snapshot_source *source;
  struct snapshot_firmware firmware;
  struct snapshot before;
  struct snapshot now;
  struct follow *logins; // NULL: there is no log
  struct authlog_tally tally;
  struct queue *queue;
  struct session *session;
  int signals;
  uint64_t report_ms; // when the next report is due, UINT64_MAX: never again
  uint64_t give_up_ms;
  int exit_code;
};

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t random_number(void) {
  uint64_t number = 0;
  while (number == 0) {
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) {
      number = 0;
    }
  }
  return number;
}

static void note_line(void *context, struct text line) {
  struct authlog_failure failure;
  if (authlog_parse(line, &failure)) {
    authlog_tally_add(context, &failure);
  }
}

static void open_login_log(struct agent *agent) {
  static const char usual[] = "/var/log/auth.log";
  const char *path = agent->options.auth_log != NULL ? agent->options.auth_log : access(usual, R_OK) == 0 ? usual : NULL;
  agent->logins = path != NULL ? follow_file(path) : follow_journalctl();
  if (agent->logins == NULL) {
    log_warn("failed logins will not be reported", "error=\"%s\"", strerror(errno));
  } else {
    log_info("following failed logins", "source=%s", path != NULL ? path : "journalctl");
  }
}

static void read_logins(struct agent *agent) {
  if (agent->logins == NULL || follow_read(agent->logins, note_line, &agent->tally) == 0) {
    return;
  }
  if (errno == ECHILD) { // no journalctl here, or not allowed to read
    log_warn("failed logins are not reported; name a file with --auth-log", "cause=\"journalctl has ended\"");
    follow_close(agent->logins);
    agent->logins = NULL;
  }
}

static bool open_boot(struct agent *agent) {
  char error[512] = "";
  agent->boot.random = agent->options.state == NULL;
  agent->boot.value = agent->boot.random ? random_number() : files_next_boot(agent->options.state, error, sizeof error);
  if (agent->boot.value == 0) {
    fprintf(stderr, "vedette-agent: %s\n", error);
  }
  return agent->boot.value != 0;
}

// Signals come through a descriptor. They are blocked before the MQTT client starts its threads, which inherit that.
static int open_signals(void) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  sigset_t all;
  sigfillset(&all);
  return pthread_sigmask(SIG_BLOCK, &all, NULL) == 0 ? signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK) : -1;
}

static bool agent_open(struct agent *agent) {
  char error[512] = "out of memory";
  if (!open_boot(agent)) {
    return false;
  }
  agent->signals = open_signals();
  agent->source = snapshot_open(agent->options.proc);
  agent->queue = queue_create();
  if (agent->signals < 0 || agent->source == NULL || agent->queue == NULL) {
    fprintf(stderr, "vedette-agent: cannot start: %s\n", agent->signals < 0 ? strerror(errno) : error);
    return false;
  }
  agent->session = session_create(&agent->options.link, agent->boot, agent->queue, now_ms(), error, sizeof error);
  if (agent->session == NULL) {
    fprintf(stderr, "vedette-agent: %s\n", error);
    return false;
  }
  open_login_log(agent);
  snapshot_firmware(agent->source, &agent->firmware);
  snapshot_take(agent->source, &agent->before);
  uint64_t now = now_ms();
  // A phase of its own for each machine, so that a fleet started together does not report together.
  uint64_t phase = agent->options.once ? 0 : random_number() % ((uint64_t)agent->options.interval_s * 1000);
  agent->report_ms = now + FIRST_MS + phase;
  agent->give_up_ms = agent->options.once ? now + ONCE_MAX_MS : UINT64_MAX;
  return true;
}

static void agent_close(struct agent *agent) {
  session_free(agent->session);
  queue_free(agent->queue);
  follow_close(agent->logins);
  snapshot_close(agent->source);
  if (agent->signals >= 0) {
    close(agent->signals);
  }
}

static void make_report(struct agent *agent, uint64_t now) {
  read_logins(agent);
  snapshot_take(agent->source, &agent->now);
  agent->sequence++;
  bool declare = agent->sequence % DECLARE_EVERY == 1;
  struct report_content content = {.credential = agent->options.link.credential,
                                   .boot = agent->boot,
                                   .sequence = agent->sequence,
                                   .before = &agent->before,
                                   .now = &agent->now,
                                   .firmware = declare ? &agent->firmware : NULL,
                                   .logins = &agent->tally};
  struct report_bytes report = report_pack(&content);
  if (report.bytes == NULL) { // the number stays used: the hole is the truth
    log_error("out of memory, a report is lost", "sequence=%" PRIu64, agent->sequence);
    return;
  }
  size_t dropped = queue_push(agent->queue, report, now);
  if (dropped > 0) {
    log_warn("the oldest unsent reports were dropped", "count=%zu", dropped);
  }
  agent->before = agent->now;
  agent->tally.count = 0;
}

static void report_if_due(struct agent *agent, uint64_t now) {
  if (now < agent->report_ms) {
    return;
  }
  make_report(agent, now);
  uint64_t interval = (uint64_t)agent->options.interval_s * 1000;
  agent->report_ms += interval;
  if (agent->report_ms <= now) { // the machine slept
    agent->report_ms = now + interval;
  }
  if (agent->options.once) {
    agent->report_ms = UINT64_MAX;
  }
}

static void leave(struct agent *agent, uint64_t now) {
  agent->report_ms = UINT64_MAX;
  agent->give_up_ms = UINT64_MAX;
  session_leave(agent->session, now);
}

static void finish_once(struct agent *agent, uint64_t now) {
  if (!agent->options.once) {
    return;
  }
  if (agent->sequence > 0 && queue_count(agent->queue) == 0) {
    leave(agent, now);
  } else if (now >= agent->give_up_ms) {
    log_error("the report could not be delivered", "waited_s=%d", ONCE_MAX_MS / 1000);
    agent->exit_code = 1;
    leave(agent, now);
  }
}

// Waits until `until` (monotonic milliseconds), news from the session or a signal. True on a signal.
static bool wait_for_something(struct agent *agent, uint64_t until, uint64_t now) {
  struct pollfd watched[] = {{agent->signals, POLLIN, 0}, {session_descriptor(agent->session), POLLIN, 0}};
  uint64_t wait = until > now ? until - now : 0;
  if (poll(watched, 2, wait > 3600000 ? 3600000 : (int)wait) < 0 && errno != EINTR) {
    log_error("poll failed", "error=\"%s\"", strerror(errno));
    agent->exit_code = 1;
    return true;
  }
  struct signalfd_siginfo signal_info;
  return (watched[0].revents & POLLIN) != 0 && read(agent->signals, &signal_info, sizeof signal_info) == sizeof signal_info;
}

static void agent_run(struct agent *agent) {
  bool leaving = false;
  while (!session_is_over(agent->session)) {
    uint64_t now = now_ms();
    report_if_due(agent, now);
    uint64_t due = session_step(agent->session, now);
    finish_once(agent, now);
    if (session_is_over(agent->session)) {
      break;
    }
    due = agent->report_ms < due ? agent->report_ms : due;
    due = agent->give_up_ms < due ? agent->give_up_ms : due;
    if (wait_for_something(agent, due, now)) {
      if (leaving) {
        return; // asked twice
      }
      leaving = true;
      leave(agent, now_ms());
    }
  }
  size_t unsent = queue_count(agent->queue);
  log_info("stopped", "reports=%" PRIu64 " unsent=%zu", agent->sequence, unsent);
}

int main(int argc, char **argv) {
  static struct agent agent = {.signals = -1};
  int code = options_parse(argc, argv, &agent.options);
  if (code >= 0) {
    return code;
  }
  log_open("vedette-agent", LOG_LEVEL_INFO);
  if (agent_open(&agent)) {
    agent_run(&agent);
  } else {
    agent.exit_code = 1;
  }
  agent_close(&agent);
  return agent.exit_code;
}
