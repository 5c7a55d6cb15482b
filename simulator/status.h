// The status file: live counters for scripts and screens.
#ifndef VEDETTE_SIMULATOR_STATUS_H
#define VEDETTE_SIMULATOR_STATUS_H

struct sim;

// Replaces the file by one with the present counters. Returns 0, or -1 with errno set.
int status_write(const struct sim *sim, const char *path);

#endif
