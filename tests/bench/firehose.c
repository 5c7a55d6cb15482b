// A stand-in broker for one client: plays COUNT prepared reports over mutual TLS and says how long they took.
//
//   bench_firehose --port P --ca FILE --cert FILE --key FILE --count N [--devices N] [--samples K] [--json] [--window N]
//   [--seconds S] [--repeat N [--dup]] [--again S]
//
// With --repeat the first N devices send every report twice, with --dup marked as Mosquitto marks what it sends again. With
// --again all is played again and again for so many seconds after the warm-up, as new reports.
//
// Prints one line of JSON when the first N (--warm), which are not measured, are acknowledged, one when all are, then stays until
// the client leaves, SIGTERM comes, or S seconds are over.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/listener.h"
#include "tests/bench/options.h"
#include "tests/bench/player.h"

enum { SECONDS_MOST = 100000 };

static volatile int stop;

static void on_signal(int number) {
  (void)number;
  stop = 1;
}

static int64_t micros(struct timeval time) {
  return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static struct rusage begun;

static void say_warmed(void) {
  getrusage(RUSAGE_SELF, &begun);
  printf("{\"warmed\": true}\n");
  fflush(stdout);
}

static void print(const struct player_result *result) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("{\"messages\": %zu, \"bytes\": %zu, \"window\": %zu, \"mqtt\": \"%s\", \"first_us\": %" PRId64 ", \"last_us\": %" PRId64
         ", \"cpu_us\": %" PRId64 "}\n",
         result->acknowledged, result->bytes, result->window, result->mqtt5 ? "5" : "3.1.1", result->first_us, result->last_us,
         micros(used.ru_utime) - micros(begun.ru_utime) + micros(used.ru_stime) - micros(begun.ru_stime));
  fflush(stdout);
}

static bool serve(uint16_t port, const struct listener_files *files, const struct stock *stock,
                  const struct player_limits *limits) {
  SSL_CTX *context = listener_context(files);
  int listening = context != NULL ? listener_open(port) : -1;
  SSL *tls = listening >= 0 ? listener_accept(listening, context, limits->seconds) : NULL;
  getrusage(RUSAGE_SELF, &begun);
  bool ok = tls != NULL && player_run(tls, stock, limits, &stop, print);
  if (tls != NULL) {
    close(SSL_get_fd(tls));
    SSL_free(tls);
  }
  if (listening >= 0) {
    close(listening);
  }
  SSL_CTX_free(context);
  return ok;
}

int main(int argc, char **argv) {
  struct listener_files files = {0};
  bool json = false;
  long port = 0;
  long count = 0;
  long devices = 200;
  long samples = 8;
  long warm = 0;
  long window = 65535;
  long seconds = 120;
  long repeat = 0;
  long again = 0;
  bool dup = false;
  const struct option_row rows[] = {
      {"port", NULL, &port, NULL},       {"ca", &files.ca, NULL, NULL},   {"cert", &files.certificate, NULL, NULL},
      {"key", &files.key, NULL, NULL},   {"count", NULL, &count, NULL},   {"devices", NULL, &devices, NULL},
      {"samples", NULL, &samples, NULL}, {"window", NULL, &window, NULL}, {"seconds", NULL, &seconds, NULL},
      {"json", NULL, NULL, &json},       {"warm", NULL, &warm, NULL},     {"repeat", NULL, &repeat, NULL},
      {"dup", NULL, NULL, &dup},         {"again", NULL, &again, NULL},   {NULL, NULL, NULL, NULL}};
  if (!options_take(argc, argv, rows)) {
    return 2;
  }
  if (port < 1 || port > 65535 || files.ca == NULL || files.certificate == NULL || files.key == NULL || count < 1 ||
      warm >= count || devices < 1 || devices > 99999 || samples > 1000 || window < 1 || window > 65535 || seconds < 1 ||
      seconds > SECONDS_MOST || again >= seconds || (again > 0 && (warm == 0 || json || repeat > 0 || count % devices != 0))) {
    fprintf(stderr,
            "bench_firehose: --port, --ca, --cert, --key and --count are needed; --devices 1 to 99999, --samples 0 to "
            "1000, --warm below --count,"
            " --window 1 to 65535, --seconds 1 to 100000; --again below that, with --warm, not with --json or --repeat, --count a"
            " multiple of --devices\n");
    return 2;
  }
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  struct stock_shape shape = {.count = (size_t)count,
                              .devices = (uint32_t)devices,
                              .samples = (uint32_t)samples,
                              .json = json,
                              .first = again > 0 ? STOCK_LATE : 1};
  struct stock *stock = stock_make(&shape);
  if (stock == NULL) {
    fprintf(stderr, "bench_firehose: out of memory for %ld reports\n", count);
    return EXIT_FAILURE;
  }
  struct player_limits limits = {.warm = (size_t)warm,
                                 .warmed = say_warmed,
                                 .window = (size_t)window,
                                 .seconds = (int)seconds,
                                 .repeats = {.devices = (uint32_t)repeat, .marked = dup},
                                 .again = (int)again};
  bool ok = serve((uint16_t)port, &files, stock, &limits);
  stock_free(stock);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
