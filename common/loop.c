#include "common/loop.h"

#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { TELL_S = 10 }; // how often log lines that were left out are looked for

struct loop {
  struct event_base *base;
  struct event *term, *interrupt, *hangup, *tell;
  loop_cb on_stop, on_reload;
  void *arg;
  bool stopping;
};

struct loop_bell {
  int fd;
  struct event *readable;
  loop_cb cb;
  void *arg;
};

static void on_term(evutil_socket_t signal_number, short what, void *arg) {
  struct loop *loop = arg;
  (void)what;
  if (loop->stopping) {
    log_warn("second signal, leaving at once", "signal=%d", (int)signal_number);
    _exit(1);
  }
  loop->stopping = true;
  log_info("stopping", "signal=%d", (int)signal_number);
  loop->on_stop(loop->arg);
}

static void on_hangup(evutil_socket_t signal_number, short what, void *arg) {
  struct loop *loop = arg;
  (void)signal_number;
  (void)what;
  log_info("reloading", "");
  loop->on_reload(loop->arg);
}

static void on_tell(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  (void)arg;
  log_tell_left_out();
}

// libevent serves signals on the loop's thread; threads that libraries make inherit the blocked mask.
static bool watch_signals(struct loop *loop) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGPIPE);
  if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || pthread_sigmask(SIG_BLOCK, &mask, NULL) != 0) {
    return false;
  }
  loop->term = evsignal_new(loop->base, SIGTERM, on_term, loop);
  loop->interrupt = evsignal_new(loop->base, SIGINT, on_term, loop);
  loop->hangup = evsignal_new(loop->base, SIGHUP, on_hangup, loop);
  return loop->term && loop->interrupt && loop->hangup && event_add(loop->term, NULL) == 0 &&
         event_add(loop->interrupt, NULL) == 0 && event_add(loop->hangup, NULL) == 0;
}

struct loop *loop_new(loop_cb on_stop, loop_cb on_reload, void *arg) {
  struct loop *loop = calloc(1, sizeof *loop);
  if (loop == NULL) {
    return NULL;
  }
  loop->on_stop = on_stop;
  loop->on_reload = on_reload;
  loop->arg = arg;
  loop->base = event_base_new();
  if (loop->base == NULL || !watch_signals(loop) || (loop->tell = event_new(loop->base, -1, EV_PERSIST, on_tell, NULL)) == NULL ||
      event_add(loop->tell, &(struct timeval){.tv_sec = TELL_S}) != 0) {
    log_error("the event loop cannot be made", "errno=%d", errno);
    loop_free(loop);
    return NULL;
  }
  return loop;
}

static void event_drop(struct event *event) {
  if (event != NULL) {
    event_free(event);
  }
}

void loop_free(struct loop *loop) {
  if (loop == NULL) {
    return;
  }
  event_drop(loop->term);
  event_drop(loop->interrupt);
  event_drop(loop->hangup);
  event_drop(loop->tell);
  if (loop->base != NULL) {
    event_base_free(loop->base);
  }
  free(loop);
}

struct event_base *loop_base(struct loop *loop) {
  return loop->base;
}

void loop_run(struct loop *loop) {
  if (event_base_dispatch(loop->base) < 0) {
    log_error("the event loop failed", "errno=%d", errno);
  }
}

void loop_exit(struct loop *loop) {
  event_base_loopexit(loop->base, NULL);
}

static void on_bell(evutil_socket_t fd, short what, void *arg) {
  struct loop_bell *bell = arg;
  uint64_t rings;
  (void)what;
  if (read((int)fd, &rings, sizeof rings) < 0 && errno != EAGAIN) {
    log_error("a wake-up cannot be read", "errno=%d", errno);
  }
  bell->cb(bell->arg);
}

struct loop_bell *loop_bell_new(struct loop *loop, loop_cb cb, void *arg) {
  struct loop_bell *bell = calloc(1, sizeof *bell);
  if (bell == NULL) {
    return NULL;
  }
  bell->cb = cb;
  bell->arg = arg;
  bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  bell->readable = bell->fd < 0 ? NULL : event_new(loop->base, bell->fd, EV_READ | EV_PERSIST, on_bell, bell);
  if (bell->readable == NULL || event_add(bell->readable, NULL) != 0) {
    loop_bell_free(bell);
    return NULL;
  }
  return bell;
}

void loop_bell_ring(struct loop_bell *bell) {
  uint64_t one = 1;
  // The counter cannot overflow before the loop reads it; EAGAIN would mean that it rings already.
  ssize_t written = write(bell->fd, &one, sizeof one);
  (void)written;
}

void loop_bell_free(struct loop_bell *bell) {
  if (bell == NULL) {
    return;
  }
  event_drop(bell->readable);
  if (bell->fd >= 0) {
    close(bell->fd);
  }
  free(bell);
}

static int64_t clock_us(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void) {
  return clock_us(CLOCK_REALTIME);
}

int64_t clock_steady_us(void) {
  return clock_us(CLOCK_MONOTONIC);
}

struct timeval loop_ms(uint32_t ms) {
  return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}
