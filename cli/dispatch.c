#include "cli/dispatch.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/options.h"

static void show_usage(const struct dispatch *dispatch) {
  printf("usage: %s [--config FILE] [--json] COMMAND …\n\ncommands:\n", dispatch->program);
  for (size_t i = 0; i < dispatch->count; i++) {
    const struct command *command = &dispatch->commands[i];
    int width = printf("  %s%s%s", command->group, command->verb != NULL ? " " : "", command->verb != NULL ? command->verb : "");
    printf("%*s%s\n", 22 - width, "", command->summary);
  }
  printf("\n`%s COMMAND --help` tells more about one. Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.\n",
         dispatch->program);
}

// Lists the verbs of a group in one line.
static int refuse_verb(struct cli *cli, const struct dispatch *dispatch, const char *group, const char *word) {
  const char *verbs[DISPATCH_MOST];
  char list[128] = "";
  size_t count = 0;
  for (size_t i = 0; i < dispatch->count && i < DISPATCH_MOST; i++) {
    if (strcmp(dispatch->commands[i].group, group) == 0) {
      size_t used = strlen(list);
      (void)snprintf(list + used, sizeof list - used, "%s%s", count > 0 ? ", " : "", dispatch->commands[i].verb);
      verbs[count++] = dispatch->commands[i].verb;
    }
  }
  if (word == NULL) {
    return cli_fail(cli, CLI_WRONG, "%s %s needs one of: %s", dispatch->program, group, list);
  }
  const char *near = options_nearest(word, verbs, count);
  return near != NULL
             ? cli_fail(cli, CLI_WRONG, "unknown command '%s %s', did you mean '%s %s'?", group, word, group, near)
             : cli_fail(cli, CLI_WRONG, "unknown command '%s %s'; %s %s has: %s", group, word, dispatch->program, group, list);
}

static int refuse_group(struct cli *cli, const struct dispatch *dispatch, const char *word) {
  const char *groups[DISPATCH_MOST];
  size_t count = 0;
  for (; count < dispatch->count && count < DISPATCH_MOST; count++) {
    groups[count] = dispatch->commands[count].group;
  }
  const char *near = options_nearest(word, groups, count);
  return near != NULL ? cli_fail(cli, CLI_WRONG, "unknown command '%s', did you mean '%s'?", word, near)
                      : cli_fail(cli, CLI_WRONG, "unknown command '%s'; see %s --help", word, dispatch->program);
}

static void show_group(const struct dispatch *dispatch, const char *group) {
  printf("usage: %s %s COMMAND …\n\ncommands:\n", dispatch->program, group);
  for (size_t i = 0; i < dispatch->count; i++) {
    if (strcmp(dispatch->commands[i].group, group) == 0) {
      printf("  %-8s %s\n", dispatch->commands[i].verb, dispatch->commands[i].summary);
    }
  }
}

static bool asks_help(const char *word) {
  return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

// Runs the command whose words start at argv[0].
static int run_command(struct cli *cli, const struct dispatch *dispatch, int argc, char **argv) {
  bool group_there = false;
  for (size_t i = 0; i < dispatch->count; i++) {
    const struct command *command = &dispatch->commands[i];
    if (strcmp(command->group, argv[0]) != 0) {
      continue;
    }
    group_there = true;
    if (command->verb == NULL) {
      return command->run(cli, command, argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(command->verb, argv[1]) == 0) {
      return command->run(cli, command, argc - 2, argv + 2);
    }
  }
  if (!group_there) {
    return refuse_group(cli, dispatch, argv[0]);
  }
  if (argc > 1 && asks_help(argv[1])) {
    show_group(dispatch, argv[0]);
    return CLI_FINE;
  }
  return refuse_verb(cli, dispatch, argv[0], argc > 1 ? argv[1] : NULL);
}

// Reads what stands before the command, then runs it.
static int run(struct cli *cli, const struct dispatch *dispatch, int argc, char **argv) {
  static const char *const globals[] = {"config", "json", "no-color", "help", "version"};
  static char *const version_words[] = {"version"};
  bool help = false;
  int at = 1;
  while (at < argc && argv[at][0] == '-') {
    if (strcmp(argv[at], "--version") == 0) {
      return run_command(cli, dispatch, 1, (char **)version_words);
    }
    int taken = options_global(cli, argc, argv, at, &help);
    if (taken < 0) {
      return cli->code;
    }
    if (taken == 0) {
      const char *near = options_nearest(argv[at] + strspn(argv[at], "-"), globals, sizeof globals / sizeof globals[0]);
      return cli_fail(cli, CLI_WRONG, "unknown option '%s'%s%s%s; see %s --help", argv[at],
                      near != NULL ? ", did you mean --" : "", near != NULL ? near : "", near != NULL ? "?" : "",
                      dispatch->program);
    }
    at += taken;
  }
  if (help || (at < argc && strcmp(argv[at], "help") == 0 && at + 1 == argc)) {
    show_usage(dispatch);
    return CLI_FINE;
  }
  if (at >= argc) {
    return cli_fail(cli, CLI_WRONG, "which command? %s --help lists them", dispatch->program);
  }
  return run_command(cli, dispatch, argc - at, argv + at);
}

int dispatch_main(const struct dispatch *dispatch, int argc, char **argv) {
  struct cli cli = {.program = dispatch->program};
  if (setlocale(LC_CTYPE, "C.UTF-8") == NULL) { // widths of characters; everything here is UTF-8 whatever the terminal says
    (void)setlocale(LC_CTYPE, "");
  }
  tzset();
  int code = run(&cli, dispatch, argc, argv);
  if (code == CLI_FINE && !cli_flush(&cli)) {
    code = CLI_FAILED;
  }
  config_free(cli.config);
  return code;
}
