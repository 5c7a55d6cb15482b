#include "simulator/models.h"

#include <openssl/evp.h>
#include <string.h>

static struct model models[] = {
    [MODEL_METER] = {.name = "meter-a", .traffic = true, .releases = {"2.3.1", "2.4.0"}},
    [MODEL_SENSOR] = {.name = "sensor-b", .traffic = false, .releases = {"1.8.0", "1.9.2"}},
    [MODEL_RECORDED] = {.name = "recorded", .traffic = false, .releases = {"1.0.0", "1.1.0"}},
    [MODEL_CUSTOM] = {.name = NULL, .traffic = true, .releases = {"1.0.0", "1.1.0"}},
};

const struct model *models_get(enum model_number number) {
  return &models[number];
}

const struct model *models_custom(const char *name) {
  for (size_t i = 0; i < MODEL_CUSTOM; i++) {
    if (strcmp(models[i].name, name) == 0) {
      return &models[i];
    }
  }
  models[MODEL_CUSTOM].name = name;
  return &models[MODEL_CUSTOM];
}

void models_image_hash(const char *model, const char *version, bool known, uint8_t out[MODELS_HASH_SIZE]) {
  char text[256];
  int length = snprintf(text, sizeof text, "vedette-sim %s%s %s", known ? "" : "unreleased ", model, version);
  size_t used = length < (int)sizeof text ? (size_t)length : sizeof text - 1;
  if (EVP_Digest(text, used, out, NULL, EVP_sha256(), NULL) != 1) {
    memset(out, 0, MODELS_HASH_SIZE); // only when OpenSSL itself is broken; no release has this hash
  }
}

bool models_is_release(const struct model *model, const char *version) {
  for (size_t i = 0; i < MODELS_RELEASES; i++) {
    if (strcmp(model->releases[i], version) == 0) {
      return true;
    }
  }
  return false;
}

static void print_release(FILE *out, const struct model *model, const char *version) {
  uint8_t hash[MODELS_HASH_SIZE];
  models_image_hash(model->name, version, true, hash);
  fprintf(out, "%s,%s,", model->name, version);
  for (size_t i = 0; i < sizeof hash; i++) {
    fprintf(out, "%02x", hash[i]);
  }
  fputc('\n', out);
}

void models_print_firmware(FILE *out) {
  fputs("model,version,image_hash\n", out);
  for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
    for (size_t r = 0; models[i].name != NULL && r < MODELS_RELEASES; r++) {
      print_release(out, &models[i], models[i].releases[r]);
    }
  }
}
