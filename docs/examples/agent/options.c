#include "docs/examples/agent/options.h"

#include <errno.h>
#include <getopt.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { USAGE = 2, INTERVAL_MAX_S = 86400, CREDENTIAL_MAX = 128 };

static const char help[] =
    "Usage: vedette-agent --broker HOST:PORT --ca FILE --cert FILE --key FILE --credential NAME [option …]\n"
    "\n"
    "Reports this Linux machine to Vedette as a device: load, memory, disk, temperature, network traffic, open ports, the "
    "firmware\n"
    "that runs, and failed logins.\n"
    "\n"
    "  --broker HOST:PORT   the broker's listener for devices (TLS); an IPv6 address in brackets\n"
    "  --ca FILE            certificate of the authority that signed the broker's certificate, PEM\n"
    "  --cert FILE          this device's certificate, PEM\n"
    "  --key FILE           its private key, PEM\n"
    "  --credential NAME    this device's name: the common name in its certificate\n"
    "  --interval SECONDS   time between reports, 1 to 86400 (default 10)\n"
    "  --state FILE         where the boot counter is kept; without it, a boot number is drawn at each start\n"
    "  --auth-log FILE      where failed logins are logged (default /var/log/auth.log, else journalctl, else none)\n"
    "  --proc DIR           read DIR instead of /proc, for tests\n"
    "  --once               send one report and exit\n"
    "  --help, --version    say this, or the version, and exit\n"
    "\n"
    "Exit code: 0 stopped in order, 1 failed, 2 wrong usage.\n";

static int usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *format, ...) {
  va_list args;
  fputs("vedette-agent: ", stderr);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputs(" (see vedette-agent --help)\n", stderr);
  return USAGE;
}

// HOST:PORT, [ADDRESS]:PORT
static bool is_broker(const char *text) {
  const char *colon = strrchr(text, ':');
  if (colon == NULL || colon == text || strlen(text) > 255 || strpbrk(text, "/ ") != NULL) {
    return false;
  }
  bool bracketed = text[0] == '[' && colon[-1] == ']';
  if (!bracketed && strchr(text, ':') != colon) {
    return false;
  }
  char *end = NULL;
  unsigned long port = strtoul(colon + 1, &end, 10);
  return colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && port > 0 && port < 65536;
}

static bool is_credential(const char *text) {
  size_t size = strlen(text);
  if (size == 0 || size > CREDENTIAL_MAX || strpbrk(text, "/+#") != NULL) {
    return false;
  }
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
    if (*c < 0x20 || *c == 0x7f) {
      return false;
    }
  }
  return true;
}

static bool parse_interval(const char *text, unsigned *seconds) {
  char *end = NULL;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value == 0 || value > INTERVAL_MAX_S) {
    return false;
  }
  *seconds = (unsigned)value;
  return true;
}

// Reads the common name of the certificate in `path`. False if the file has no certificate.
static bool common_name(const char *path, char *name, int size) {
  FILE *file = fopen(path, "re");
  X509 *certificate = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
  name[0] = '\0';
  if (certificate != NULL) {
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, size);
  }
  X509_free(certificate);
  if (file != NULL) {
    fclose(file);
  }
  return certificate != NULL;
}

static int check_files(const struct options *options) {
  char name[256];
  const char *files[] = {options->link.ca, options->link.cert, options->link.key};
  for (size_t i = 0; i < 3; i++) {
    if (access(files[i], R_OK) != 0) {
      return usage("cannot read %s: %s", files[i], strerror(errno));
    }
  }
  if (!common_name(options->link.cert, name, sizeof name)) {
    return usage("%s holds no PEM certificate", options->link.cert);
  }
  // The broker would refuse each publish without a word, so say it here.
  if (strcmp(name, options->link.credential) != 0) {
    return usage("--credential is \"%s\" but the certificate %s was issued to \"%s\"", options->link.credential,
                 options->link.cert, name);
  }
  return -1;
}

static int check(const struct options *options) {
  const struct {
    const char *name;
    const char *value;
  } needed[] = {{"--broker", options->link.broker},
                {"--ca", options->link.ca},
                {"--cert", options->link.cert},
                {"--key", options->link.key},
                {"--credential", options->link.credential}};
  for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
    if (needed[i].value == NULL) {
      return usage("%s is missing", needed[i].name);
    }
  }
  if (!is_broker(options->link.broker)) {
    return usage("--broker is \"%s\", not HOST:PORT", options->link.broker);
  }
  if (!is_credential(options->link.credential)) {
    return usage("--credential has to be 1 to %d bytes without / + # and control characters", CREDENTIAL_MAX);
  }
  return check_files(options);
}

static int apply(int option, const char *value, struct options *out) {
  switch (option) {
  case 'b': out->link.broker = value; return -1;
  case 'c': out->link.ca = value; return -1;
  case 'C': out->link.cert = value; return -1;
  case 'k': out->link.key = value; return -1;
  case 'n': out->link.credential = value; return -1;
  case 's': out->state = value; return -1;
  case 'a': out->auth_log = value; return -1;
  case 'p': out->proc = value; return -1;
  case 'o': out->once = true; return -1;
  case 'i': return parse_interval(value, &out->interval_s) ? -1 : usage("--interval is \"%s\", not 1 to 86400 seconds", value);
  case 'h': fputs(help, stdout); return 0;
  case 'v': puts("vedette-agent " VEDETTE_VERSION); return 0;
  default: break;
  }
  return USAGE;
}

int options_parse(int argc, char **argv, struct options *out) {
  static const struct option known[] = {{"broker", required_argument, NULL, 'b'},
                                        {"ca", required_argument, NULL, 'c'},
                                        {"cert", required_argument, NULL, 'C'},
                                        {"key", required_argument, NULL, 'k'},
                                        {"credential", required_argument, NULL, 'n'},
                                        {"interval", required_argument, NULL, 'i'},
                                        {"state", required_argument, NULL, 's'},
                                        {"auth-log", required_argument, NULL, 'a'},
                                        {"proc", required_argument, NULL, 'p'},
                                        {"once", no_argument, NULL, 'o'},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, 'v'},
                                        {NULL, 0, NULL, 0}};
  *out = (struct options){.interval_s = 10, .proc = "/proc"};
  int option = 0;
  opterr = 0;
  while ((option = getopt_long(argc, argv, ":", known, NULL)) != -1) {
    if (option == '?' || option == ':') {
      return usage(option == ':' ? "%s needs a value" : "%s is not an option", argv[optind - 1]);
    }
    int code = apply(option, optarg, out);
    if (code >= 0) {
      return code;
    }
  }
  if (optind < argc) {
    return usage("\"%s\" is one word too many", argv[optind]);
  }
  return check(out);
}
