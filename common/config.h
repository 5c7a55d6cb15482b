// The one configuration file of all programs, YAML, read through libyaml and one table (config.c).
//
// Unknown keys, wrong types, values out of range and missing fields are errors that name file, line and field. Relative paths are
// taken from the configuration file's own folder, so that an installation can be moved. Nothing secret is ever in the file.
#ifndef VEDETTE_COMMON_CONFIG_H
#define VEDETTE_COMMON_CONFIG_H

#include <stddef.h>
#include <stdint.h>

struct config_store {
  char *host;        // folder of the Unix socket (absolute once loaded), or a host name
  uint16_t port;     // default 5432
  char *database;    // default "vedette"
  char *ca;          // over a network: verify-full against this CA …
  char *certificate; // … with this client certificate
  char *key;
};

struct config_broker {
  char *host; // the listener for ingest, not the devices' one
  uint16_t port;
  char *ca;
  char *certificate;
  char *key;
};

struct config_http {
  char *address; // default 127.0.0.1
  uint16_t port; // 0: no endpoint
};

struct config_journal {
  char *folder;
  uint32_t segment_mib; // default 64
  uint32_t high_mib;    // unstored data above which the worker leaves the broker; default 16384
  uint32_t low_mib;     // … and below which it returns; default 12288
  uint32_t keep_mib;    // stored segments that are kept, to catch up a restored database; default 1024
  uint32_t sync_ms; // longest time an acknowledged message may be off the disk; 0: each is synced before its PUBACK; default 10
};

struct config_batch {
  uint32_t records; // most records a batch; default 2000
  uint32_t age_ms;  // longest wait for a batch to fill; default 100
};

struct config_admission {
  uint32_t device_rate;   // messages a second that a device may send for long; 0: no limit; default 1000
  uint32_t device_burst;  // … and at once; default 30000
  uint32_t gateway_rate;  // the same for all that a gateway sends for its children; default 5000
  uint32_t gateway_burst; // default 150000
};

struct config_ingest {
  char *worker;   // stable name, unique in the installation: [a-z0-9-]{1,40}
  char *share;    // name of the shared subscription; default "vedette"
  char *mappings; // file or folder of mappings for JSON (ingest/mapping.h); NULL: none
  struct config_journal journal;
  struct config_batch batch;
  struct config_admission admission;
  struct config_http http;
};

struct config_connectivity {
  double rate;             // false silence a device and day that is allowed; default 0.0001
  double slack_s;          // the way of a message may take so long; default 1.5
  double young;            // patience is so many times as long until a device was seen for a day; default 3
  uint32_t learn_s;        // without a cadence in the registry it is judged after it was seen for so long; default 3600
  uint32_t guard_s;        // a last will is believed after this; default 10
  uint32_t frozen_learn_h; // values are judged after a device was seen for so long, hours; default 24
  uint32_t never_seen_h;   // a device that was never heard is reported after this; default 168
  uint32_t blind_s;        // an alert says that we are blind after this; default 60
};

struct config_rate {
  uint32_t window_s; // width of a counting window; default 10
  double deviations; // above the usual by this many standard deviations …; default 6
  double ratio;      // … and by this factor is abnormal; default 3
};

struct config_security {
  uint32_t window_s;       // bursts are counted over this; default 300
  uint32_t malformed;      // rejected messages in the window; default 5
  uint32_t login_failures; // default 5
};

struct config_analysis {
  char *worker;
  uint32_t poll_ms;      // default 200
  uint32_t checkpoint_s; // default 60
  double alerts_a_day;   // false ones, of series
  uint32_t series_most;  // 700 bytes each
  struct config_connectivity connectivity;
  struct config_rate rate;
  struct config_security security;
  struct config_http http;
};

struct config_keeper {
  uint32_t compress_after_h; // a day is compressed when it is over for this long, hours; default 48
  double share;              // of its time that the keeper may work, so that others can; default 0.2
  struct config_http http;
};

struct config {
  struct config_store store;
  struct config_broker broker;
  struct config_ingest ingest;
  struct config_analysis analysis;
  struct config_keeper keeper;
};

// Loads and checks `path`. Returns the configuration, to be freed with config_free, or NULL with one clear sentence in `error`.
struct config *config_load(const char *path, char *error, size_t error_size);
void config_free(struct config *config);

// The file programs read when no --config is given: $VEDETTE_CONFIG, else /etc/vedette/vedette.yaml.
const char *config_default_path(void);

// Writes a libpq connection string for `role` (never holds a password). False if it does not fit.
_Bool config_conninfo(const struct config_store *store, const char *role, char *out, size_t size);

#endif
