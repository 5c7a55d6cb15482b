// A clock on the wall that somebody else moves: preloaded into a program it shows what stands in a file, so that an hour of event
// time can be played in minutes. BENCH_CLOCK names the file: eight bytes, Unix microseconds. Other clocks are as they are.
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *shown;

__attribute__((constructor)) static void open_clock(void) {
  const char *path = getenv("BENCH_CLOCK");
  int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *map = file >= 0 ? mmap(NULL, sizeof *shown, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
  shown = map != MAP_FAILED ? map : NULL;
  if (file >= 0) {
    close(file);
  }
}

int clock_gettime(clockid_t clock, struct timespec *out) {
  if (clock != CLOCK_REALTIME || shown == NULL) {
    return (int)syscall(SYS_clock_gettime, clock, out);
  }
  int64_t now = atomic_load(shown);
  out->tv_sec = (time_t)(now / 1000000);
  out->tv_nsec = (long)(now % 1000000 * 1000);
  return 0;
}
