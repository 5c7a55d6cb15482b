#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

static const struct option_spec global_specs[] = {
    {OPTION_TEXT, "config", NULL, "FILE", "configuration (else $VEDETTE_CONFIG, else /etc/vedette/vedette.yaml)", 0, 0},
    {OPTION_FLAG, "json", NULL, NULL, "write JSON, times in UTC (RFC 3339)", 0, 0},
    {OPTION_FLAG, "no-color", NULL, NULL, "no colours on a terminal", 0, 0},
    {OPTION_FLAG, "help", NULL, NULL, "show this text", 0, 0},
    {OPTION_END, NULL, NULL, NULL, NULL, 0, 0},
};

const char *options_nearest(const char *word, const char *const *words, size_t count) {
  const char *nearest = NULL;
  size_t least = strlen(word) <= 3 ? 2 : 3; // changes from which on it is another word
  for (size_t i = 0; i < count; i++) {
    size_t distance = text_distance(word, words[i]);
    if (distance < least) {
      least = distance;
      nearest = words[i];
    }
  }
  return nearest;
}

// True when `word` is `--name` or `--name=…`; `value` is then what follows the sign, or NULL.
static bool is_option(const char *word, const char *name, const char **value) {
  size_t length = strlen(name);
  if (strncmp(word, "--", 2) != 0 || strncmp(word + 2, name, length) != 0) {
    return false;
  }
  const char *end = word + 2 + length;
  *value = *end == '=' ? end + 1 : NULL;
  return *end == '=' || *end == '\0';
}

static bool set_number(struct cli *cli, const struct option_spec *spec, const char *value) {
  char *end = NULL;
  errno = 0;
  long number = strtol(value, &end, 10);
  if (errno != 0 || end == value || *end != '\0' || number < spec->least || number > spec->most) {
    cli_fail(cli, CLI_WRONG, "--%s takes a whole number from %ld to %ld, not '%s'", spec->name, spec->least, spec->most, value);
    return false;
  }
  *(long *)spec->target = number;
  return true;
}

// Sets the target of `spec` from argv[at]. Returns the words taken, −1 if it is wrong.
static int set_option(struct cli *cli, const struct option_spec *spec, const char *value, int argc, char **argv, int at) {
  int taken = 1;
  if (spec->kind == OPTION_FLAG) {
    if (value != NULL) {
      cli_fail(cli, CLI_WRONG, "--%s takes no value", spec->name);
      return -1;
    }
    *(bool *)spec->target = true;
    return taken;
  }
  if (value == NULL) {
    if (at + 1 >= argc) {
      cli_fail(cli, CLI_WRONG, "--%s needs a value: --%s %s", spec->name, spec->name, spec->value);
      return -1;
    }
    value = argv[at + 1];
    taken = 2;
  }
  if (spec->kind == OPTION_NUMBER) {
    return set_number(cli, spec, value) ? taken : -1;
  }
  *(const char **)spec->target = value;
  return taken;
}

// As set_option, for one more value of an option that may be given several times.
static int add_option(struct cli *cli, const struct option_spec *spec, const char *value, int argc, char **argv, int at) {
  struct option_texts *texts = spec->target;
  if (texts->count == OPTION_TEXTS_MOST) {
    cli_fail(cli, CLI_WRONG, "--%s may be given %d times at most", spec->name, (int)OPTION_TEXTS_MOST);
    return -1;
  }
  struct option_spec one = *spec;
  one.kind = OPTION_TEXT;
  one.target = &texts->list[texts->count];
  int taken = set_option(cli, &one, value, argc, argv, at);
  texts->count += taken > 0;
  return taken;
}

int options_global(struct cli *cli, int argc, char **argv, int at, bool *help) {
  const char *value = NULL;
  void *const targets[] = {&cli->config_path, &cli->json, &cli->no_color, help};
  if (strcmp(argv[at], "-h") == 0) {
    *help = true;
    return 1;
  }
  for (size_t i = 0; global_specs[i].kind != OPTION_END; i++) {
    if (is_option(argv[at], global_specs[i].name, &value)) {
      struct option_spec spec = global_specs[i];
      spec.target = targets[i];
      return set_option(cli, &spec, value, argc, argv, at);
    }
  }
  return 0;
}

static void show_specs(const struct option_spec *specs) {
  for (; specs->kind != OPTION_END; specs++) {
    int width = printf("  --%s%s%s", specs->name, specs->value != NULL ? " " : "", specs->value != NULL ? specs->value : "");
    printf("%*s%s\n", width < 26 ? 26 - width : 1, "", specs->help);
  }
}

static void show_help(const struct cli *cli, const struct command *command, const struct option_spec *specs) {
  printf("usage: %s %s%s%s [options]%s%s\n\n%s\n", cli_program(cli), command->group, command->verb != NULL ? " " : "",
         command->verb != NULL ? command->verb : "", *command->arguments != '\0' ? " " : "", command->arguments,
         command->summary);
  if (command->details != NULL) {
    printf("\n%s\n", command->details);
  }
  if (specs->kind != OPTION_END) {
    printf("\noptions:\n");
    show_specs(specs);
  }
  printf("\noptions of every command:\n");
  show_specs(global_specs);
}

static void refuse_option(struct cli *cli, const struct command *command, const struct option_spec *specs, const char *word) {
  enum { MOST = 32 };
  const char *names[MOST];
  size_t count = 0;
  char name[64] = "";
  const struct option_spec *lists[] = {specs, global_specs};
  for (size_t l = 0; l < 2; l++) {
    for (const struct option_spec *spec = lists[l]; spec->kind != OPTION_END && count < MOST; spec++) {
      names[count++] = spec->name;
    }
  }
  (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
  const char *near = options_nearest(name + strspn(name, "-"), names, count);
  cli_fail(cli, CLI_WRONG, "unknown option '%s'%s%s%s; see %s %s%s%s --help", name, near != NULL ? ", did you mean --" : "",
           near != NULL ? near : "", near != NULL ? "?" : "", cli_program(cli), command->group, command->verb != NULL ? " " : "",
           command->verb != NULL ? command->verb : "");
}

// Reads the option at argv[at]: of the command, or of all. Returns the words taken, −1 if it is wrong.
static int read_option(struct cli *cli, const struct command *command, const struct option_spec *specs, int argc, char **argv,
                       int at, bool *help) {
  const char *value = NULL;
  for (const struct option_spec *spec = specs; spec->kind != OPTION_END; spec++) {
    if (is_option(argv[at], spec->name, &value)) {
      return spec->kind == OPTION_TEXTS ? add_option(cli, spec, value, argc, argv, at)
                                        : set_option(cli, spec, value, argc, argv, at);
    }
  }
  int taken = options_global(cli, argc, argv, at, help);
  if (taken == 0) {
    refuse_option(cli, command, specs, argv[at]);
    return -1;
  }
  return taken;
}

int options_parse(struct cli *cli, const struct command *command, const struct option_spec *specs, int least, int most, int argc,
                  char **argv) {
  int count = 0;
  bool help = false;
  bool only_arguments = false;
  for (int at = 0; at < argc;) {
    if (!only_arguments && strcmp(argv[at], "--") == 0) {
      only_arguments = true;
      at++;
    } else if (only_arguments || argv[at][0] != '-' || argv[at][1] == '\0') {
      argv[count++] = argv[at++];
    } else {
      int taken = read_option(cli, command, specs, argc, argv, at, &help);
      if (taken < 0) {
        return -1;
      }
      at += taken;
    }
  }
  if (help) {
    show_help(cli, command, specs);
    cli->code = CLI_FINE;
    return -1;
  }
  if (count < least || count > most) {
    cli_fail(cli, CLI_WRONG, "%s; usage: %s %s%s%s [options]%s%s", count < least ? "something is missing" : "too many arguments",
             cli_program(cli), command->group, command->verb != NULL ? " " : "", command->verb != NULL ? command->verb : "",
             *command->arguments != '\0' ? " " : "", command->arguments);
    return -1;
  }
  return count;
}
