#include "docs/examples/agent/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 8 << 20, FIRST_BYTES = 16384 };

static bool grow(struct files_buffer *buffer) {
  size_t size = buffer->size > 0 ? buffer->size * 2 : FIRST_BYTES;
  char *bytes = size <= FILE_MAX_BYTES ? realloc(buffer->bytes, size) : NULL;
  if (bytes == NULL) {
    return false;
  }
  buffer->bytes = bytes;
  buffer->size = size;
  return true;
}

// Reads until the end, an error or the limit; what is past the limit is left out.
static bool read_all(int descriptor, struct files_buffer *buffer) {
  buffer->used = 0;
  for (;;) {
    if (buffer->used == buffer->size && !grow(buffer)) {
      return buffer->used > 0;
    }
    ssize_t got = read(descriptor, buffer->bytes + buffer->used, buffer->size - buffer->used);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return got == 0;
    }
    buffer->used += (size_t)got;
  }
}

struct text files_read(struct files_buffer *buffer, const char *folder, const char *name) {
  char path[PATH_MAX];
  struct text none = {"", ""};
  int length = snprintf(path, sizeof path, "%s%s%s", folder != NULL ? folder : "", folder != NULL ? "/" : "", name);
  if (length < 0 || (size_t)length >= sizeof path) {
    errno = ENAMETOOLONG;
    return none;
  }
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return none;
  }
  bool good = read_all(descriptor, buffer);
  int saved = errno;
  close(descriptor);
  errno = saved;
  return good && buffer->used > 0 ? (struct text){buffer->bytes, buffer->bytes + buffer->used} : none;
}

void files_free(struct files_buffer *buffer) {
  free(buffer->bytes);
  *buffer = (struct files_buffer){0};
}

static bool hash_descriptor(int descriptor, EVP_MD_CTX *context, uint8_t hash[32]) {
  unsigned char bytes[16384];
  ssize_t got = 0;
  if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
    return false;
  }
  while ((got = read(descriptor, bytes, sizeof bytes)) != 0) {
    if ((got < 0 && errno != EINTR) || (got > 0 && EVP_DigestUpdate(context, bytes, (size_t)got) != 1)) {
      return false;
    }
  }
  return EVP_DigestFinal_ex(context, hash, NULL) == 1;
}

bool files_sha256(const char *path, uint8_t hash[32]) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool good = descriptor >= 0 && context != NULL && hash_descriptor(descriptor, context, hash);
  int saved = errno;
  EVP_MD_CTX_free(context);
  if (descriptor >= 0) {
    close(descriptor);
  }
  errno = saved;
  return good;
}

static bool read_counter(const char *path, uint64_t *counter, char *error, size_t error_size) {
  struct files_buffer buffer = {0};
  struct text word;
  errno = 0;
  struct text text = files_read(&buffer, NULL, path);
  *counter = 0;
  bool missing = text_size(text) == 0 && errno == ENOENT;
  bool good = missing || (text_word(&text, &word) && text_number(&word, 10, counter) && text_size(word) == 0 &&
                          !text_word(&text, &word) && *counter < UINT64_MAX);
  if (!good) {
    snprintf(error, error_size, "%s does not hold a boot counter%s%s; write a number into it that is not below the last one used",
             path, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
  }
  files_free(&buffer);
  return good;
}

// Replaces the file in one step, so that a power cut leaves the old number or the new one.
static bool write_counter(const char *path, uint64_t counter) {
  char fresh[PATH_MAX];
  char number[24];
  int length = snprintf(fresh, sizeof fresh, "%s.new", path);
  int digits = snprintf(number, sizeof number, "%" PRIu64 "\n", counter);
  if (length < 0 || (size_t)length >= sizeof fresh) {
    errno = ENAMETOOLONG;
    return false;
  }
  int descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return false;
  }
  bool good = write(descriptor, number, (size_t)digits) == digits && fsync(descriptor) == 0;
  good = close(descriptor) == 0 && good;
  return good && rename(fresh, path) == 0;
}

static bool sync_folder_of(const char *path) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  if (slash == NULL) {
    strcpy(folder, ".");
  } else {
    text_copy((struct text){path, slash == path ? slash + 1 : slash}, folder, sizeof folder);
  }
  int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    return false;
  }
  bool good = fsync(descriptor) == 0;
  close(descriptor);
  return good;
}

uint64_t files_next_boot(const char *path, char *error, size_t error_size) {
  uint64_t counter = 0;
  if (!read_counter(path, &counter, error, error_size)) {
    return 0;
  }
  counter++;
  if (!write_counter(path, counter) || !sync_folder_of(path)) {
    snprintf(error, error_size, "cannot write the boot counter to %s: %s", path, strerror(errno));
    return 0;
  }
  return counter;
}
