#include "cli/value.h"

#include <stdio.h>
#include <string.h>

#include "cli/options.h"
#include "cli/text.h"
#include "cli/when.h"

bool value_choice(struct cli *cli, const char *name, const char *text, const char *const *words, size_t count) {
  char list[256] = "";
  for (size_t i = 0; i < count; i++) {
    size_t used = strlen(list);
    if (strcmp(text, words[i]) == 0) {
      return true;
    }
    (void)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
  }
  const char *near = options_nearest(text, words, count);
  cli_fail(cli, CLI_WRONG, "%s is %s, not '%s'%s%s%s", name, list, text, near != NULL ? "; did you mean " : "",
           near != NULL ? near : "", near != NULL ? "?" : "");
  return false;
}

bool value_text(struct cli *cli, const char *name, const char *text, size_t most) {
  size_t length = strlen(text);
  if (length == 0) {
    cli_fail(cli, CLI_WRONG, "%s is empty", name);
  } else if (length > most) {
    cli_fail(cli, CLI_WRONG, "%s is longer than %zu bytes", name, most);
  } else if (!text_is_utf8(text, length) || text_has_control(text, length)) {
    cli_fail(cli, CLI_WRONG, "%s is not UTF-8, or holds a control character", name);
  } else {
    return true;
  }
  return false;
}

bool value_id(struct cli *cli, const char *text, const char *what, const char *list) {
  size_t digits = strspn(text, "0123456789");
  if (digits > strspn(text, "0") && digits <= 18 && text[digits] == '\0') {
    return true;
  }
  cli_fail(cli, CLI_WRONG, "'%s' is not the number of %s; %s shows them", text, what, list);
  return false;
}

bool value_time(struct cli *cli, const char *name, const char *text, int64_t *at) {
  if (when_read(text, when_now(), at)) {
    return true;
  }
  cli_fail(cli, CLI_WRONG, "%s takes 30m, 2h, 7d (ago), 2026-03-01 or 2026-03-01T12:00Z, not '%s'", name, text);
  return false;
}

bool value_time_ahead(struct cli *cli, const char *name, const char *text, int64_t *at) {
  if (when_read_ahead(text, when_now(), at)) {
    return true;
  }
  cli_fail(cli, CLI_WRONG, "%s takes 30m, 2h, 7d (from now on), 2026-03-01 or 2026-03-01T12:00Z, not '%s'", name, text);
  return false;
}

bool value_length(struct cli *cli, const char *name, const char *text, int64_t *microseconds) {
  if (when_length(text, microseconds)) {
    return true;
  }
  cli_fail(cli, CLI_WRONG, "%s takes a length of time: 250ms, 90s, 30m, 2h, 7d or 1w, not '%s'", name, text);
  return false;
}
