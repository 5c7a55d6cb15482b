#include "cli/cli.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/text.h"

static volatile sig_atomic_t stop;

const char *cli_program(const struct cli *cli) {
  return cli->program != NULL ? cli->program : "vedette";
}

int cli_fail(struct cli *cli, int code, const char *format, ...) {
  char *line = NULL;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&line, format, args);
  va_end(args);
  fflush(stdout);
  fprintf(stderr, "%s: ", cli_program(cli));
  if (length < 0) {
    fputs("out of memory", stderr);
  } else {
    text_write(stderr, line, (size_t)length);
  }
  fputc('\n', stderr);
  free(length < 0 ? NULL : line);
  cli->code = code;
  return code;
}

const char *cli_operator(void) {
  const struct passwd *account = getpwuid(getuid());
  return account != NULL ? account->pw_name : "an operator";
}

const char *cli_config_path(const struct cli *cli) {
  return cli->config_path != NULL ? cli->config_path : config_default_path();
}

const struct config *cli_config(struct cli *cli) {
  if (cli->config == NULL) {
    char error[1024] = "";
    cli->config = config_load(cli_config_path(cli), error, sizeof error);
    if (cli->config == NULL) {
      cli_fail(cli, CLI_WRONG, "%s", error);
    }
  }
  return cli->config;
}

bool cli_colors(const struct cli *cli) {
  const char *no_color = getenv("NO_COLOR");
  const char *terminal = getenv("TERM");
  return !cli->no_color && !cli->json && (no_color == NULL || *no_color == '\0') &&
         (terminal == NULL || strcmp(terminal, "dumb") != 0) && isatty(STDOUT_FILENO) == 1;
}

static void on_stop(int signal_number) {
  (void)signal_number;
  stop = 1;
}

void cli_catch_stop(void) {
  struct sigaction action = {.sa_handler = on_stop};
  sigemptyset(&action.sa_mask);
  (void)sigaction(SIGINT, &action, NULL);
  (void)sigaction(SIGTERM, &action, NULL);
}

bool cli_stopped(void) {
  return stop != 0;
}

void cli_sleep_ms(unsigned milliseconds) {
  struct timespec rest = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
  if (!cli_stopped()) {
    (void)nanosleep(&rest, NULL);
  }
}

bool cli_flush(struct cli *cli) {
  if (fflush(stdout) == 0 && ferror(stdout) == 0) {
    return true;
  }
  cli_fail(cli, CLI_FAILED, "cannot write the output: %s", strerror(errno));
  return false;
}
