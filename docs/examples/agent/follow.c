#include "docs/examples/agent/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, READ_MAX_BYTES = 1 << 20 };

struct follow {
  char *path; // NULL: a pipe from `child`
  pid_t child;
  int descriptor; // -1: not open
  off_t position;
  size_t used;   // bytes of an incomplete line
  bool skipping; // the line is too long: its rest is passed over
  char line[LINE_MAX_BYTES];
};

static struct follow *create(void) {
  struct follow *follow = calloc(1, sizeof *follow);
  if (follow != NULL) {
    follow->descriptor = -1;
  }
  return follow;
}

struct follow *follow_file(const char *path) {
  struct follow *follow = create();
  if (follow == NULL || (follow->path = strdup(path)) == NULL) {
    follow_close(follow);
    return NULL;
  }
  follow->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (follow->descriptor >= 0) {
    off_t end = lseek(follow->descriptor, 0, SEEK_END);
    follow->position = end > 0 ? end : 0;
  }
  return follow;
}

// The child's side: nothing but async-signal-safe calls.
static _Noreturn void run_journalctl(int output, pid_t parent) {
  // Facilities 4 and 10 are auth and authpriv; "short" is the form that syslog files have.
  static char *const command[] = {"journalctl",     "--follow",          "--lines=0",          "--quiet", "--no-pager",
                                  "--output=short", "SYSLOG_FACILITY=4", "SYSLOG_FACILITY=10", NULL};
  sigset_t none;
  sigemptyset(&none);
  int nowhere = open("/dev/null", O_RDWR);
  if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent && sigprocmask(SIG_SETMASK, &none, NULL) == 0 &&
      nowhere >= 0 && dup2(nowhere, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 && dup2(nowhere, STDERR_FILENO) >= 0) {
    execvp(command[0], command);
  }
  _exit(127);
}

struct follow *follow_journalctl(void) {
  struct follow *follow = create();
  int ends[2] = {-1, -1};
  if (follow == NULL || pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
    goto failed;
  }
  pid_t parent = getpid();
  follow->child = fork();
  if (follow->child < 0) {
    follow->child = 0;
    goto failed;
  }
  if (follow->child == 0) {
    run_journalctl(ends[1], parent);
  }
  close(ends[1]);
  follow->descriptor = ends[0];
  return follow;
failed:
  if (ends[0] >= 0) {
    close(ends[0]);
    close(ends[1]);
  }
  follow_close(follow);
  return NULL;
}

static void take(struct follow *follow, const char *bytes, size_t size, follow_line *line, void *context) {
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] == '\n') {
      if (!follow->skipping) {
        line(context, (struct text){follow->line, follow->line + follow->used});
      }
      follow->used = 0;
      follow->skipping = false;
    } else if (follow->used < sizeof follow->line) {
      follow->line[follow->used++] = bytes[i];
    } else {
      follow->skipping = true;
    }
  }
}

// Reads what there is, up to the limit. Returns bytes read, 0 at the end, -1 on an error.
static ssize_t drain(struct follow *follow, follow_line *line, void *context) {
  char bytes[16384];
  ssize_t total = 0;
  while (total < READ_MAX_BYTES) {
    ssize_t got = follow->path != NULL ? pread(follow->descriptor, bytes, sizeof bytes, follow->position)
                                       : read(follow->descriptor, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0 && errno == EAGAIN) {
      return total;
    }
    if (got < 0) {
      return -1;
    }
    if (got == 0) {
      break;
    }
    follow->position += got;
    total += got;
    take(follow, bytes, (size_t)got, line, context);
  }
  return total;
}

// True when `path` now names another file than the one that is open, or it was cut: its beginning is new to us.
static bool was_rotated(const struct follow *follow) {
  struct stat open_file;
  struct stat named;
  if (fstat(follow->descriptor, &open_file) != 0 || stat(follow->path, &named) != 0) {
    return false;
  }
  return open_file.st_dev != named.st_dev || open_file.st_ino != named.st_ino || named.st_size < follow->position;
}

static int read_file(struct follow *follow, follow_line *line, void *context) {
  if (follow->descriptor >= 0 && drain(follow, line, context) < 0) {
    return -1;
  }
  if (follow->descriptor >= 0 && !was_rotated(follow)) {
    return 0;
  }
  int next = open(follow->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (next < 0) {
    return -1;
  }
  if (follow->descriptor >= 0) {
    close(follow->descriptor);
  }
  follow->descriptor = next;
  follow->position = 0;
  follow->used = 0;
  follow->skipping = false;
  return drain(follow, line, context) < 0 ? -1 : 0;
}

int follow_read(struct follow *follow, follow_line *line, void *context) {
  if (follow->path != NULL) {
    return read_file(follow, line, context);
  }
  int status = 0;
  if (drain(follow, line, context) < 0) {
    return -1;
  }
  if (follow->child > 0 && waitpid(follow->child, &status, WNOHANG) == follow->child) {
    follow->child = 0;
  }
  if (follow->child == 0) {
    errno = ECHILD;
    return -1;
  }
  return 0;
}

void follow_close(struct follow *follow) {
  if (follow == NULL) {
    return;
  }
  if (follow->descriptor >= 0) {
    close(follow->descriptor);
  }
  if (follow->child > 0) {
    kill(follow->child, SIGTERM);
    while (waitpid(follow->child, NULL, 0) < 0 && errno == EINTR) {}
  }
  free(follow->path);
  free(follow);
}
