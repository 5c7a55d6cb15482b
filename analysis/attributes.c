#include "analysis/attributes.h"

#include <stdio.h>

int32_t attribute_of(const struct device *device, enum attribute attribute) {
  switch (attribute) {
  case ATTRIBUTE_FLEET: return 1;
  case ATTRIBUTE_GATEWAY: return device->gateway != 0 ? device->gateway : device->children != NULL ? device->id : 0;
  case ATTRIBUTE_SITE: return device->site != NULL ? device->site->id : 0;
  case ATTRIBUTE_REGION: return device->region != NULL ? device->region->id : 0;
  case ATTRIBUTE_FIRMWARE: return device->firmware != NULL ? device->firmware->id : 0;
  case ATTRIBUTE_MODEL: return device->model->id;
  default: return 0;
  }
}

static const char *label_text(const struct label *label) {
  return label != NULL ? label->text : "";
}

const char *attribute_words(const struct context *context, const struct device *device, enum attribute attribute, char *out,
                            size_t size) {
  const struct device *gateway = device->gateway != 0 ? fleet_find(context->fleet, device->gateway) : device;
  switch (attribute) {
  case ATTRIBUTE_GATEWAY: snprintf(out, size, "gateway %.120s", gateway != NULL ? device_credential(gateway) : ""); break;
  case ATTRIBUTE_SITE: snprintf(out, size, "site %.120s", label_text(device->site)); break;
  case ATTRIBUTE_REGION: snprintf(out, size, "region %.120s", label_text(device->region)); break;
  case ATTRIBUTE_FIRMWARE: snprintf(out, size, "firmware %.120s", label_text(device->firmware)); break;
  case ATTRIBUTE_MODEL: snprintf(out, size, "model %.120s", label_text(device->model->name)); break;
  default: snprintf(out, size, "all devices");
  }
  return out;
}

const char *attribute_key(const struct device *device, enum attribute attribute, char *out, size_t size) {
  switch (attribute) {
  case ATTRIBUTE_GATEWAY: snprintf(out, size, "gateway:%d", (int)attribute_of(device, attribute)); break;
  case ATTRIBUTE_SITE: snprintf(out, size, "site:%.120s", label_text(device->site)); break;
  case ATTRIBUTE_REGION: snprintf(out, size, "region:%.120s", label_text(device->region)); break;
  case ATTRIBUTE_FIRMWARE: snprintf(out, size, "firmware:%.120s", label_text(device->firmware)); break;
  case ATTRIBUTE_MODEL: snprintf(out, size, "model:%.120s", label_text(device->model->name)); break;
  default: snprintf(out, size, "fleet");
  }
  return out;
}
