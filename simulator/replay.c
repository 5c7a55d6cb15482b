// When the rows of a recording are due.
#include <math.h>

#include "simulator/sim.h"

enum { ROWS_A_TURN = 64 };    // so that one recording does not keep the others waiting
static const double late = 2; // seconds: a shifted row that is later than this is left out, it would not be of the present
static const double retry = 0.005;

// Seconds from row 0 to row `row` at the speed asked for.
static double offset(const struct device *device, size_t row) {
  double speed = device->sim->options->speed;
  const int64_t *times = device->recording->times;
  return speed > 0 ? (double)(times[row] - times[0]) / 1e6 / speed : 0;
}

static void begin(struct device *device) {
  device->row = 0;
  device->replay_start = sim_monotonic();
  device->replay_time = sim_time();
}

static int64_t row_time(const struct device *device) {
  if (device->sim->options->recorded_times) {
    return device->recording->times[device->row];
  }
  return device->replay_time + (int64_t)llround(offset(device, device->row) * 1e6);
}

// At the end of a pass: the gap before row 0 comes again is the mean gap of the recording.
static double finish(struct device *device) {
  size_t rows = device->recording->row_count;
  if (!device->sim->options->replay_loop) {
    return -1;
  }
  double gap = rows > 1 ? offset(device, rows - 1) / (double)(rows - 1) : 1;
  device->replay_start = -1;
  return fmax(gap, retry);
}

double replay_step(struct device *device) {
  if (device->replay_start < 0) {
    begin(device);
  }
  bool shifted = !device->sim->options->recorded_times;
  for (int sent = 0; sent < ROWS_A_TURN; sent++) {
    if (device->row == device->recording->row_count) {
      return finish(device);
    }
    double wait = device->replay_start + offset(device, device->row) - sim_monotonic();
    if (wait > 0) {
      return wait;
    }
    if (shifted && wait < -late) {
      device->sim->counters.skipped++;
    } else if (!report_send_row(device, device->row, row_time(device))) {
      return retry;
    }
    device->row++;
  }
  return 0;
}
