#include "common/daemon.h"

#include "common/log.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

enum { USAGE = 2 };

static void help(const char *program, const char *purpose) {
  printf("%s: %s\n\n"
         "usage: %s [--config FILE] [--check] [--verbose]\n\n"
         "  --config FILE  the configuration; default $VEDETTE_CONFIG, else /etc/vedette/vedette.yaml\n"
         "  --check        check the configuration and leave\n"
         "  --verbose      log more\n"
         "  --help, --version\n\n"
         "Runs in the foreground and logs to stderr. SIGTERM drains and stops, SIGHUP reloads certificates.\n",
         program, purpose, program);
}

struct config *daemon_start(int argc, char **argv, const char *program, const char *purpose, int *status) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
                                          {"verbose", no_argument, NULL, 'v'},      {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0}};
  const char *path = config_default_path();
  bool check = false;
  enum log_level least = LOG_LEVEL_INFO;
  int option;
  *status = 0;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'c': path = optarg; break;
    case 'k': check = true; break;
    case 'v': least = LOG_LEVEL_DEBUG; break;
    case 'h': help(program, purpose); return NULL;
    case 'V': printf("%s %s\n", program, VEDETTE_VERSION); return NULL;
    default: *status = USAGE; return NULL; // getopt has named the option
    }
  }
  if (optind < argc) {
    fprintf(stderr, "%s: unexpected argument %s; see --help\n", program, argv[optind]);
    *status = USAGE;
    return NULL;
  }
  char error[512];
  struct config *config = config_load(path, error, sizeof error);
  if (config == NULL) {
    fprintf(stderr, "%s: %s\n", program, error);
    *status = USAGE;
    return NULL;
  }
  if (check) {
    printf("%s: fine\n", path);
    config_free(config);
    return NULL;
  }
  if (geteuid() == 0) {
    fprintf(stderr, "%s: refuses to run as root; start it as an unprivileged user\n", program);
    config_free(config);
    *status = USAGE;
    return NULL;
  }
  log_open(program, least);
  return config;
}
