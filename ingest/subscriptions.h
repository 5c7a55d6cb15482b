// Which topics our session at the broker is subscribed to. The broker keeps the session over restarts and cannot be asked, so a
// file beside the journal remembers: what the configuration no longer names has to be unsubscribed, or its messages keep coming.
#ifndef VEDETTE_INGEST_SUBSCRIPTIONS_H
#define VEDETTE_INGEST_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct subscriptions;

// Reads the file in `folder` and notes the topics that are about to be subscribed to, before they are. NULL on failure, logged:
// then nothing is known to be stale. `wanted` is the caller's and has to stay.
struct subscriptions *subscriptions_open(const char *folder, char *const *wanted, size_t count);
void subscriptions_free(struct subscriptions *subscriptions); // accepts NULL

// Topics that were subscribed to and are no longer wanted; *count of them.
char *const *subscriptions_stale(const struct subscriptions *subscriptions, size_t *count);
// The stale ones are unsubscribed: they are forgotten. Tells in the log if the file cannot be written; they then come again.
void subscriptions_settle(struct subscriptions *subscriptions);

#endif
