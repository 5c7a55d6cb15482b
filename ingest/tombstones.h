// The tombstones of erased devices: salted digests by which their credentials are known again, and nobody's name can be read
// (storage/migrations/0014_erasure.sql). Any thread.
#ifndef VEDETTE_INGEST_TOMBSTONES_H
#define VEDETTE_INGEST_TOMBSTONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SALT_SIZE = 32, TOMBSTONE_SIZE = 32 }; // bytes; the digest is SHA-256 of salt and credential

struct tombstones;

struct tombstones *tombstones_new(void);             // NULL when out of memory
void tombstones_free(struct tombstones *tombstones); // accepts NULL

// The store's salt. Those of another salt go.
void tombstones_salt(struct tombstones *tombstones, const uint8_t *salt);
bool tombstones_add(struct tombstones *tombstones, const uint8_t *digest); // false when out of memory
// The credential is registered again.
void tombstones_remove(struct tombstones *tombstones, const char *credential);

// Whether a credential is an erased device's. `tombstones` NULL: there are none.
bool tombstones_has(struct tombstones *tombstones, const char *credential, size_t length);

#endif
