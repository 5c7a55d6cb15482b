// What a daemon tells of its own process on /metrics, under the names that Prometheus' client libraries use.
#ifndef VEDETTE_COMMON_PROCESS_H
#define VEDETTE_COMMON_PROCESS_H

#include <event2/buffer.h>

// Reads /proc/self; what cannot be read is left out.
void process_write_metrics(struct evbuffer *out);

#endif
