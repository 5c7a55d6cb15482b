// What every daemon's event loop needs: one libevent base, signals, and a wake-up from foreign threads.
#ifndef VEDETTE_COMMON_LOOP_H
#define VEDETTE_COMMON_LOOP_H

#include <event2/event.h>
#include <stdint.h>

struct loop;
typedef void (*loop_cb)(void *arg);

// Makes the base; SIGPIPE is ignored and blocked. `on_stop` runs at the first SIGTERM or SIGINT (a second one leaves at once with
// status 1), `on_reload` at SIGHUP, both on the loop's thread. NULL on failure, logged.
struct loop *loop_new(loop_cb on_stop, loop_cb on_reload, void *arg);
void loop_free(struct loop *loop);

struct event_base *loop_base(struct loop *loop);
void loop_run(struct loop *loop);
void loop_exit(struct loop *loop); // lets loop_run return after the present turn

// A wake-up that any thread may ring; `cb` then runs on the loop's thread, once for any number of rings.
struct loop_bell;
struct loop_bell *loop_bell_new(struct loop *loop, loop_cb cb, void *arg);
void loop_bell_ring(struct loop_bell *bell);
void loop_bell_free(struct loop_bell *bell);

// Microseconds since 1970, wall clock; and microseconds of a clock that never jumps.
int64_t clock_wall_us(void);
int64_t clock_steady_us(void);

struct timeval loop_ms(uint32_t ms);

#endif
