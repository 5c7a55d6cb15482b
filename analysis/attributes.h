// What devices may have in common: the attributes by which a cause is sought. The loop's thread only.
#ifndef VEDETTE_ANALYSIS_ATTRIBUTES_H
#define VEDETTE_ANALYSIS_ATTRIBUTES_H

#include "analysis/context.h"

// In the order in which they are preferred where they explain the same: all devices, then the narrower first.
enum attribute {
  ATTRIBUTE_FLEET,
  ATTRIBUTE_GATEWAY,
  ATTRIBUTE_SITE,
  ATTRIBUTE_REGION,
  ATTRIBUTE_FIRMWARE,
  ATTRIBUTE_MODEL,
  ATTRIBUTES
};

// The device's value of an attribute, a number; 0: it has none. A gateway is its own.
int32_t attribute_of(const struct device *device, enum attribute attribute);
// Words for it, as "site Harbour 3"; "all devices" for the fleet. `device`: one that has the value. Returns `out`.
const char *attribute_words(const struct context *context, const struct device *device, enum attribute attribute, char *out,
                            size_t size);
// A key for alerts that names nobody: as "site:Harbour 3", "gateway:17".
const char *attribute_key(const struct device *device, enum attribute attribute, char *out, size_t size);

#endif
