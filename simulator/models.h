// Models of simulated devices and their firmware releases.
//
// The image hash of a release is SHA-256 of the text `vedette-sim <model> <version>`; of an image that was never released,
// of `vedette-sim unreleased <model> <version>`. So anybody can compute which is which.
#ifndef VEDETTE_SIMULATOR_MODELS_H
#define VEDETTE_SIMULATOR_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MODELS_HASH_SIZE = 32, MODELS_RELEASES = 2 };

struct model {
  const char *name;
  bool traffic;                          // reports its network traffic
  const char *releases[MODELS_RELEASES]; // versions, oldest first
};

// Numbers into models_all: the first three are always there; models_custom gives another name to the fourth.
enum model_number { MODEL_METER, MODEL_SENSOR, MODEL_RECORDED, MODEL_CUSTOM };

// The model of that number. Never NULL; MODEL_CUSTOM has no name before models_custom.
const struct model *models_get(enum model_number number);

// Finds or makes the model called `name` (kept by the caller for the life of the program). One custom model a program.
const struct model *models_custom(const char *name);

// The SHA-256 image hash of a version of a model, released (`known`) or not.
void models_image_hash(const char *model, const char *version, bool known, uint8_t out[MODELS_HASH_SIZE]);

// True if `version` is one of the model's releases.
bool models_is_release(const struct model *model, const char *version);

// Prints CSV `model,version,image_hash` of all releases, with a header.
void models_print_firmware(FILE *out);

#endif
