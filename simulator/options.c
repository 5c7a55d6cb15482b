#include "simulator/options.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/draft.h"
#include "simulator/names.h"

static const char help[] =
    "Usage: vedette-sim --broker HOST:PORT --ca FILE --certs DIR [options]\n"
    "Simulated devices for Vedette: each is an MQTT 3.1.1 client over mutual TLS with its own connection and certificate.\n"
    "\n"
    "Connection\n"
    "  --broker HOST:PORT     the devices' listener of the broker\n"
    "  --ca FILE              CA certificate of the broker\n"
    "  --certs DIR            folder with <credential>.crt and <credential>.key of every device\n"
    "  --keepalive S          MQTT keepalive, seconds (60)\n"
    "  --backoff MIN:MAX      wait before reconnecting, seconds; doubles from MIN to MAX, with jitter (0.5:10)\n"
    "  --connect-rate R       new connections a second at the start (200)\n"
    "  --inflight N           most unacknowledged reports a device; beyond it a report is left out, or waits (--keep) (32)\n"
    "  --keep                 devices keep reports until Vedette says that they are stored, and send them again till then\n"
    "  --keep-limit N:BYTES   most that a device keeps; the oldest report makes room (1000:1000000)\n"
    "  --resend-after S       send what is kept again when nothing was confirmed for S seconds; doubles up to 64 S (30)\n"
    "  --linger S             after --count or --duration wait at most S seconds until all that is kept is confirmed (60)\n"
    "\n"
    "Devices\n"
    "  --devices N            simulated devices (0)\n"
    "  --prefix TEXT          credentials are TEXT00001, TEXT00002, … (sim-)\n"
    "  --model NAME           all simulated devices are of this model (meter-a and sensor-b in turn)\n"
    "  --cadence S            seconds between the reports of a device, jittered by 15 % (5)\n"
    "  --samples K            samples in each report (8)\n"
    "  --rate R               load generator: R reports a second over all simulated devices, instead of --cadence\n"
    "  --seed N               values, jitter and the choice of devices for faults follow from it (1)\n"
    "  --boot-counter N       boot counter of every device (derived from the clock, so that each start has a higher one)\n"
    "\n"
    "Recorded series\n"
    "  --replay DIR           each *.csv below DIR is one more device (header: timestamp,metric1[,metric2…])\n"
    "  --replay-prefix TEXT   their credentials are TEXT<file name without .csv> (rec-)\n"
    "  --speed X              X times as fast as recorded; 0: as fast as acknowledged, with --times recorded only (1)\n"
    "  --times HOW            shifted: the first row is now; recorded: times as they are, marked historical (shifted)\n"
    "  --replay-loop          start again at the end of a file\n"
    "\n"
    "What happens\n"
    "  --scenario FILE        faults, see docs/scenarios.md\n"
    "  --truth FILE           append what was really done, as JSON lines\n"
    "  --count N              stop after N reports in total\n"
    "  --duration S           stop after S seconds\n"
    "  --status FILE          live counters as JSON, replaced each second\n"
    "  --stored-log FILE      append `credential boot sequence` for each report that the broker acknowledged\n"
    "\n"
    "Instead of running\n"
    "  --list-credentials     print the registry lines (CSV) of the devices of this command line\n"
    "  --list-firmware        print the firmware releases (CSV) of the simulated models\n"
    "  --check                check scenario and recordings, print which device gets which fault\n"
    "  --verbose, --help, --version\n"
    "\n"
    "Exit codes: 0 fine, 1 failed (with --keep also: not all confirmed in time), 2 wrong usage or configuration. Ctrl-C says "
    "goodbye for every device and ends within 5 s.\n";

enum {
  OPT_BROKER = 256,
  OPT_CA,
  OPT_CERTS,
  OPT_KEEPALIVE,
  OPT_BACKOFF,
  OPT_CONNECT_RATE,
  OPT_INFLIGHT,
  OPT_KEEP,
  OPT_KEEP_LIMIT,
  OPT_RESEND_AFTER,
  OPT_LINGER,
  OPT_DEVICES,
  OPT_PREFIX,
  OPT_MODEL,
  OPT_CADENCE,
  OPT_SAMPLES,
  OPT_RATE,
  OPT_SEED,
  OPT_BOOT,
  OPT_REPLAY,
  OPT_REPLAY_PREFIX,
  OPT_SPEED,
  OPT_TIMES,
  OPT_REPLAY_LOOP,
  OPT_SCENARIO,
  OPT_TRUTH,
  OPT_COUNT,
  OPT_DURATION,
  OPT_STATUS,
  OPT_STORED_LOG,
  OPT_LIST_CREDENTIALS,
  OPT_LIST_FIRMWARE,
  OPT_CHECK,
  OPT_VERBOSE,
  OPT_HELP,
  OPT_VERSION
};

static const struct option table[] = {
    {"broker", required_argument, NULL, OPT_BROKER},
    {"ca", required_argument, NULL, OPT_CA},
    {"certs", required_argument, NULL, OPT_CERTS},
    {"keepalive", required_argument, NULL, OPT_KEEPALIVE},
    {"backoff", required_argument, NULL, OPT_BACKOFF},
    {"connect-rate", required_argument, NULL, OPT_CONNECT_RATE},
    {"inflight", required_argument, NULL, OPT_INFLIGHT},
    {"keep", no_argument, NULL, OPT_KEEP},
    {"keep-limit", required_argument, NULL, OPT_KEEP_LIMIT},
    {"resend-after", required_argument, NULL, OPT_RESEND_AFTER},
    {"linger", required_argument, NULL, OPT_LINGER},
    {"devices", required_argument, NULL, OPT_DEVICES},
    {"prefix", required_argument, NULL, OPT_PREFIX},
    {"model", required_argument, NULL, OPT_MODEL},
    {"cadence", required_argument, NULL, OPT_CADENCE},
    {"samples", required_argument, NULL, OPT_SAMPLES},
    {"rate", required_argument, NULL, OPT_RATE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"boot-counter", required_argument, NULL, OPT_BOOT},
    {"replay", required_argument, NULL, OPT_REPLAY},
    {"replay-prefix", required_argument, NULL, OPT_REPLAY_PREFIX},
    {"speed", required_argument, NULL, OPT_SPEED},
    {"times", required_argument, NULL, OPT_TIMES},
    {"replay-loop", no_argument, NULL, OPT_REPLAY_LOOP},
    {"scenario", required_argument, NULL, OPT_SCENARIO},
    {"truth", required_argument, NULL, OPT_TRUTH},
    {"count", required_argument, NULL, OPT_COUNT},
    {"duration", required_argument, NULL, OPT_DURATION},
    {"status", required_argument, NULL, OPT_STATUS},
    {"stored-log", required_argument, NULL, OPT_STORED_LOG},
    {"list-credentials", no_argument, NULL, OPT_LIST_CREDENTIALS},
    {"list-firmware", no_argument, NULL, OPT_LIST_FIRMWARE},
    {"check", no_argument, NULL, OPT_CHECK},
    {"verbose", no_argument, NULL, OPT_VERBOSE},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static int wrong(const char *option, const char *text, const char *wanted) {
  fprintf(stderr, "vedette-sim: --%s: `%s` is not %s; see --help\n", option, text, wanted);
  return -1;
}

static int complain(const char *sentence) {
  fprintf(stderr, "vedette-sim: %s; see --help\n", sentence);
  return -1;
}

static int number(const char *option, const char *text, double least, double most, double *out) {
  char *end = NULL;
  char wanted[80];
  *out = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(*out) || *out < least || *out > most) {
    snprintf(wanted, sizeof wanted, "a number from %.15g to %.15g", least, most);
    return wrong(option, text, wanted);
  }
  return 0;
}

static int whole(const char *option, const char *text, double least, double most, double *out) {
  if (number(option, text, least, most, out) != 0) {
    return -1;
  }
  return *out == floor(*out) ? 0 : wrong(option, text, "a whole number");
}

static int whole32(const char *option, const char *text, double least, double most, uint32_t *out) {
  double value = 0;
  int rc = whole(option, text, least, most, &value);
  *out = rc == 0 ? (uint32_t)value : *out;
  return rc;
}

static int whole64(const char *option, const char *text, double least, uint64_t *out) {
  double value = 0;
  int rc = whole(option, text, least, 9007199254740992.0, &value);
  *out = rc == 0 ? (uint64_t)value : *out;
  return rc;
}

static int read_broker(const char *text, struct options *out) {
  const char *colon = strrchr(text, ':');
  double port = 0;
  size_t length = colon != NULL ? (size_t)(colon - text) : 0;
  if (length == 0 || length >= sizeof out->host) {
    return wrong("broker", text, "HOST:PORT");
  }
  if (whole("broker", colon + 1, 1, 65535, &port) != 0) {
    return -1;
  }
  bool bracket = text[0] == '[' && text[length - 1] == ']'; // [::1]:8883
  snprintf(out->host, sizeof out->host, "%.*s", (int)(bracket ? length - 2 : length), bracket ? text + 1 : text);
  out->port = (uint16_t)port;
  return 0;
}

static int read_backoff(const char *text, struct options *out) {
  char least[32] = "";
  const char *colon = strchr(text, ':');
  if (colon == NULL || colon - text >= (ptrdiff_t)sizeof least) {
    return wrong("backoff", text, "MIN:MAX");
  }
  snprintf(least, sizeof least, "%.*s", (int)(colon - text), text);
  if (number("backoff", least, 0.01, 3600, &out->backoff_least) != 0) {
    return -1;
  }
  return number("backoff", colon + 1, out->backoff_least, 3600, &out->backoff_most);
}

static int read_keep_limit(const char *text, struct options *out) {
  char reports[32] = "";
  double count = 0;
  double bytes = 0;
  const char *colon = strchr(text, ':');
  if (colon == NULL || colon - text >= (ptrdiff_t)sizeof reports) {
    return wrong("keep-limit", text, "N:BYTES");
  }
  snprintf(reports, sizeof reports, "%.*s", (int)(colon - text), text);
  if (whole("keep-limit", reports, 1, 1e9, &count) != 0 || whole("keep-limit", colon + 1, 1, 1e12, &bytes) != 0) {
    return -1;
  }
  out->keep_limits = (struct keep_limits){.reports = (uint32_t)count, .bytes = (uint64_t)bytes};
  return 0;
}

static int read_times(const char *text, struct options *out) {
  out->recorded_times = strcmp(text, "recorded") == 0;
  return out->recorded_times || strcmp(text, "shifted") == 0 ? 0 : wrong("times", text, "`shifted` or `recorded`");
}

static int read_prefix(const char *option, const char *text, const char **out) {
  char clean[NAMES_CREDENTIAL_MAX + 1];
  names_credential("", text, clean, sizeof clean);
  *out = text;
  return strcmp(clean, text) == 0 && strlen(text) <= 100 ? 0 : wrong(option, text, "at most 100 bytes of [A-Za-z0-9._-]");
}

static int read_keepalive(const char *text, struct options *out) {
  double value = 0;
  int rc = whole("keepalive", text, 5, 65535, &value);
  out->keepalive = rc == 0 ? (uint16_t)value : out->keepalive;
  return rc;
}

// Options of the connection and of the run.
static int take_connection(int option, char *text, struct options *out) {
  switch (option) {
  case OPT_BROKER: return read_broker(text, out);
  case OPT_CA: out->ca = text; return 0;
  case OPT_CERTS: out->certificates = text; return 0;
  case OPT_KEEPALIVE: return read_keepalive(text, out);
  case OPT_BACKOFF: return read_backoff(text, out);
  case OPT_CONNECT_RATE: return number("connect-rate", text, 0.1, 100000, &out->connect_rate);
  case OPT_INFLIGHT: return whole32("inflight", text, 1, 1000, &out->window);
  case OPT_KEEP: out->keep = true; return 0;
  case OPT_KEEP_LIMIT: return read_keep_limit(text, out);
  case OPT_RESEND_AFTER: return number("resend-after", text, 0.1, 86400, &out->resend_after);
  case OPT_LINGER: return number("linger", text, 0.1, 86400, &out->linger);
  case OPT_COUNT: return whole64("count", text, 1, &out->count);
  case OPT_DURATION: return number("duration", text, 0.001, 1e9, &out->duration);
  case OPT_STATUS: out->status = text; return 0;
  case OPT_STORED_LOG: out->stored_log = text; return 0;
  case OPT_LIST_CREDENTIALS: out->task = TASK_LIST_CREDENTIALS; return 0;
  case OPT_LIST_FIRMWARE: out->task = TASK_LIST_FIRMWARE; return 0;
  case OPT_CHECK: out->task = TASK_CHECK; return 0;
  case OPT_VERBOSE: out->verbose = true; return 0;
  default: return 1;
  }
}

// Options of the devices and of what they do.
static int take_devices(int option, char *text, struct options *out) {
  switch (option) {
  case OPT_DEVICES: return whole32("devices", text, 0, 99999, &out->devices);
  case OPT_PREFIX: return read_prefix("prefix", text, &out->prefix);
  case OPT_MODEL: return read_prefix("model", text, &out->model);
  case OPT_CADENCE: return number("cadence", text, 0.001, 86400, &out->cadence);
  case OPT_SAMPLES: return whole32("samples", text, 1, VALUES_MAX, &out->samples);
  case OPT_RATE: return number("rate", text, 0.001, 1e6, &out->rate);
  case OPT_SEED: return whole64("seed", text, 0, &out->seed);
  case OPT_BOOT: return whole64("boot-counter", text, 1, &out->boot);
  case OPT_REPLAY: out->replay = text; return 0;
  case OPT_REPLAY_PREFIX: return read_prefix("replay-prefix", text, &out->replay_prefix);
  case OPT_SPEED: return number("speed", text, 0, 1e9, &out->speed);
  case OPT_TIMES: return read_times(text, out);
  case OPT_REPLAY_LOOP: out->replay_loop = true; return 0;
  case OPT_SCENARIO: out->scenario = text; return 0;
  case OPT_TRUTH: out->truth = text; return 0;
  default: return -1;
  }
}

static int check_together(const struct options *options) {
  if (options->task == TASK_LIST_FIRMWARE) {
    return 0;
  }
  if (options->devices == 0 && options->replay == NULL) {
    return complain("nothing to simulate: give --devices or --replay");
  }
  if (!options->recorded_times && options->speed <= 0) {
    return complain("--speed 0 needs --times recorded");
  }
  if (options->recorded_times && options->replay_loop) {
    return complain("--replay-loop would send the same recorded times again; it goes with --times shifted");
  }
  if (options->truth != NULL && options->scenario == NULL) {
    return complain("--truth needs --scenario");
  }
  if (!options->keep && (options->keep_limits.reports > 0 || options->resend_after > 0 || options->linger > 0)) {
    return complain("--keep-limit, --resend-after and --linger need --keep");
  }
  bool complete = options->port != 0 && options->ca != NULL && options->certificates != NULL;
  if (options->task == TASK_RUN && !complete) {
    return complain("--broker, --ca and --certs are needed");
  }
  return 0;
}

int options_read(int argc, char **argv, struct options *out) {
  *out = (struct options){.prefix = "sim-",
                          .replay_prefix = "rec-",
                          .cadence = 5,
                          .samples = 8,
                          .speed = 1,
                          .seed = 1,
                          .backoff_least = 0.5,
                          .backoff_most = 10,
                          .connect_rate = 200,
                          .window = 32,
                          .keepalive = 60};
  int option = 0;
  opterr = 0; // we say it ourselves, in one line
  while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
    if (option == OPT_HELP || option == OPT_VERSION) {
      fputs(option == OPT_HELP ? help : "vedette-sim " VEDETTE_VERSION "\n", stdout);
      out->task = TASK_EXIT;
      return 0;
    }
    if (option == '?') {
      fprintf(stderr, "vedette-sim: `%s`: no such option, or a value is missing or too much; see --help\n", argv[optind - 1]);
      return -1;
    }
    int rc = take_connection(option, optarg, out);
    if (rc == 1) {
      rc = take_devices(option, optarg, out);
    }
    if (rc != 0) {
      return -1;
    }
  }
  if (optind < argc) {
    fprintf(stderr, "vedette-sim: `%s` is not an option; see --help\n", argv[optind]);
    return -1;
  }
  int rc = check_together(out);
  if (out->keep_limits.reports == 0) {
    out->keep_limits = (struct keep_limits){.reports = 1000, .bytes = 1000000};
  }
  out->resend_after = out->resend_after > 0 ? out->resend_after : 30;
  out->linger = out->linger > 0 ? out->linger : 60;
  return rc;
}
