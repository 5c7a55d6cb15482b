#include "ingest/tombstones.h"

#include "ingest/decode.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct tombstone {
  uint8_t digest[TOMBSTONE_SIZE];
  UT_hash_handle hh;
};

struct tombstones {
  EVP_MD *sha256; // fetched once: to look it up costs more than a digest
  pthread_mutex_t mutex;
  EVP_MD_CTX *context; // guarded, as all below
  uint8_t salt[SALT_SIZE];
  struct tombstone *all; // by digest
};

struct tombstones *tombstones_new(void) {
  struct tombstones *tombstones = calloc(1, sizeof *tombstones);
  if (tombstones == NULL) {
    return NULL;
  }
  pthread_mutex_init(&tombstones->mutex, NULL);
  tombstones->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  tombstones->context = EVP_MD_CTX_new();
  if (tombstones->sha256 == NULL || tombstones->context == NULL) {
    tombstones_free(tombstones);
    return NULL;
  }
  return tombstones;
}

static void clear(struct tombstones *tombstones) {
  struct tombstone *tombstone;
  struct tombstone *next;
  HASH_ITER(hh, tombstones->all, tombstone, next) {
    HASH_DEL(tombstones->all, tombstone); // NOLINT(clang-analyzer-unix.Malloc): it cannot follow uthash
    free(tombstone);
  }
}

void tombstones_free(struct tombstones *tombstones) {
  if (tombstones != NULL) {
    clear(tombstones);
    EVP_MD_CTX_free(tombstones->context);
    EVP_MD_free(tombstones->sha256);
    pthread_mutex_destroy(&tombstones->mutex);
    free(tombstones);
  }
}

void tombstones_salt(struct tombstones *tombstones, const uint8_t *salt) {
  pthread_mutex_lock(&tombstones->mutex);
  if (memcmp(tombstones->salt, salt, SALT_SIZE) != 0) {
    clear(tombstones);
    memcpy(tombstones->salt, salt, SALT_SIZE);
  }
  pthread_mutex_unlock(&tombstones->mutex);
}

bool tombstones_add(struct tombstones *tombstones, const uint8_t *digest) {
  struct tombstone *known = NULL;
  pthread_mutex_lock(&tombstones->mutex);
  HASH_FIND(hh, tombstones->all, digest, TOMBSTONE_SIZE, known);
  if (known == NULL && (known = calloc(1, sizeof *known)) != NULL) {
    memcpy(known->digest, digest, TOMBSTONE_SIZE);
    HASH_ADD(hh, tombstones->all, digest, TOMBSTONE_SIZE, known);
  }
  pthread_mutex_unlock(&tombstones->mutex);
  return known != NULL;
}

// The mutex is held.
static struct tombstone *find(struct tombstones *tombstones, const char *credential, size_t length) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  struct tombstone *known = NULL;
  if (tombstones->all == NULL || length > CREDENTIAL_LIMIT ||
      EVP_DigestInit_ex(tombstones->context, tombstones->sha256, NULL) != 1 ||
      EVP_DigestUpdate(tombstones->context, tombstones->salt, SALT_SIZE) != 1 ||
      EVP_DigestUpdate(tombstones->context, credential, length) != 1 ||
      EVP_DigestFinal_ex(tombstones->context, digest, NULL) != 1) {
    return NULL;
  }
  HASH_FIND(hh, tombstones->all, digest, TOMBSTONE_SIZE, known);
  return known;
}

void tombstones_remove(struct tombstones *tombstones, const char *credential) {
  pthread_mutex_lock(&tombstones->mutex);
  struct tombstone *known = find(tombstones, credential, strlen(credential));
  if (known != NULL) {
    HASH_DEL(tombstones->all, known);
    free(known);
  }
  pthread_mutex_unlock(&tombstones->mutex);
}

bool tombstones_has(struct tombstones *tombstones, const char *credential, size_t length) {
  if (tombstones == NULL) {
    return false;
  }
  pthread_mutex_lock(&tombstones->mutex);
  bool has = find(tombstones, credential, length) != NULL;
  pthread_mutex_unlock(&tombstones->mutex);
  return has;
}
