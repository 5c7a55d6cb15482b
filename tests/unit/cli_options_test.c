// Options before, between and behind arguments; what is wrong is refused with exit code 2.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/options.h"

static const struct command command = {"thing", "do", "A [B]", "Do a thing.", NULL, NULL};

struct given {
  struct cli cli;
  const char *text;
  long number;
  struct option_texts texts;
  bool flag;
  int count;
};

// Parses up to 8 words; `given.count` is what options_parse returned.
static struct given parse(char **words, int count) {
  struct given given = {.number = 7};
  const struct option_spec specs[] = {{OPTION_TEXT, "text", &given.text, "T", "text", 0, 0},
                                      {OPTION_NUMBER, "number", &given.number, "N", "number", 1, 100},
                                      {OPTION_TEXTS, "texts", &given.texts, "T", "text", 0, 0},
                                      {OPTION_FLAG, "flag", &given.flag, NULL, "flag", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  given.count = options_parse(&given.cli, &command, specs, 1, 2, count, words);
  return given;
}

#define PARSE(...) parse((char *[]){__VA_ARGS__}, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)))

static void takes_any_order(void **state) {
  (void)state;
  char *words[] = {"--json", "one", "--text", "x", "--number=42", "two", "--flag", "--config=c"};
  struct given given = parse(words, 8);
  assert_int_equal(given.count, 2);
  assert_string_equal(words[0], "one");
  assert_string_equal(words[1], "two");
  assert_string_equal(given.text, "x");
  assert_int_equal(given.number, 42);
  assert_true(given.flag && given.cli.json);
  assert_string_equal(given.cli.config_path, "c");
}

static void takes_several(void **state) {
  (void)state;
  struct given given = PARSE("a", "--texts", "x", "--texts=y");
  assert_int_equal(given.texts.count, 2);
  assert_string_equal(given.texts.list[1], "y");
  char *words[1 + 2 * (OPTION_TEXTS_MOST + 1)] = {"a"};
  for (size_t i = 0; i <= OPTION_TEXTS_MOST; i++) {
    words[1 + 2 * i] = "--texts";
    words[2 + 2 * i] = "z";
  }
  assert_int_equal(parse(words, sizeof words / sizeof words[0]).cli.code, CLI_WRONG);
}

static void ends_at_dashes(void **state) {
  (void)state;
  char *words[] = {"-", "--", "--flag"};
  struct given given = parse(words, 3);
  assert_int_equal(given.count, 2);
  assert_string_equal(words[1], "--flag");
  assert_false(given.flag);
}

static void refuses_what_is_wrong(void **state) {
  (void)state;
  assert_int_equal(PARSE("a", "--txet", "x").cli.code, CLI_WRONG);
  assert_int_equal(PARSE("a", "--number", "0").cli.code, CLI_WRONG);
  assert_int_equal(PARSE("a", "--number", "5x").cli.code, CLI_WRONG);
  assert_int_equal(PARSE("a", "--number=99999999999999999999").cli.code, CLI_WRONG);
  assert_int_equal(PARSE("a", "--text").cli.code, CLI_WRONG);
  assert_int_equal(PARSE("a", "--flag=yes").cli.code, CLI_WRONG);
  assert_int_equal(PARSE("--flag").cli.code, CLI_WRONG);
  assert_int_equal(PARSE("a", "b", "c").cli.code, CLI_WRONG);
  assert_int_equal(PARSE("a", "-x").count, -1);
}

static void shows_help(void **state) {
  (void)state;
  struct given given = PARSE("--help");
  assert_int_equal(given.count, -1);
  assert_int_equal(given.cli.code, CLI_FINE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(takes_any_order),       cmocka_unit_test(takes_several), cmocka_unit_test(ends_at_dashes),
      cmocka_unit_test(refuses_what_is_wrong), cmocka_unit_test(shows_help),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
