#include "simulator/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "simulator/names.h"
#include "simulator/random.h"

static const struct place places[] = {
    {"lyon-1", "eu-west", "Europe/Paris", 1},          {"turin-1", "eu-south", "Europe/Rome", 1},
    {"oslo-1", "eu-north", "Europe/Oslo", 1},          {"leeds-1", "uk", "Europe/London", 0},
    {"austin-1", "us-central", "America/Chicago", -6}, {"osaka-1", "ap-east", "Asia/Tokyo", 9},
};
static const struct place recorded_place = {"recordings", "lab", "UTC", 0};

static bool set_credential(struct member *member, const char *credential) {
  member->credential = strdup(credential);
  return member->credential != NULL;
}

// One in ten still runs the older release.
static const char *delivered(const struct model *model, uint64_t seed) {
  return model->releases[random_pair(seed, 7) % 10 == 0 ? 0 : 1];
}

static void describe(struct member *member, const struct fleet_settings *settings, enum model_number model, uint32_t number) {
  member->seed = random_text(settings->seed, member->credential);
  member->model = settings->model != NULL ? models_custom(settings->model) : models_get(model);
  member->version = delivered(member->model, member->seed);
  member->place = &places[number % (sizeof places / sizeof places[0])];
  snprintf(member->owner, sizeof member->owner, "owner-%04u", (number - 1) / 4 + 1);
}

static bool add_children(struct fleet *fleet, struct member *gateway, const struct fleet_settings *settings) {
  for (size_t i = 0; i < FLEET_CHILDREN; i++) {
    char credential[NAMES_CREDENTIAL_MAX + 1];
    struct member *child = &fleet->members[fleet->count++];
    snprintf(credential, sizeof credential, "%s-%zu", gateway->credential, i + 1);
    if (!set_credential(child, credential)) {
      return false;
    }
    describe(child, settings, MODEL_SENSOR, gateway->number);
    child->gateway = gateway;
    gateway->children[i] = child;
  }
  return true;
}

static bool add_simulated(struct fleet *fleet, const struct fleet_settings *settings, uint32_t number) {
  char credential[NAMES_CREDENTIAL_MAX + 1];
  struct member *member = &fleet->members[fleet->count++];
  bool gateway = number % FLEET_GATEWAY_EVERY == 0;
  snprintf(credential, sizeof credential, "%s%05u", settings->prefix, number);
  if (!set_credential(member, credential)) {
    return false;
  }
  describe(member, settings, number % 2 == 1 || gateway ? MODEL_METER : MODEL_SENSOR, number);
  member->number = number;
  member->critical = gateway || number % FLEET_GATEWAY_EVERY == 2; // and one in fifty that somebody watches
  return !gateway || add_children(fleet, member, settings);
}

static bool add_recorded(struct fleet *fleet, const struct fleet_settings *settings, const char *credential) {
  struct member *member = &fleet->members[fleet->count++];
  if (!set_credential(member, credential)) {
    return false;
  }
  member->seed = random_text(settings->seed, credential);
  member->model = models_get(MODEL_RECORDED);
  member->version = member->model->releases[0];
  member->place = &recorded_place;
  snprintf(member->owner, sizeof member->owner, "recordings");
  return true;
}

struct fleet *fleet_new(const struct fleet_settings *settings) {
  struct fleet *fleet = calloc(1, sizeof *fleet);
  size_t gateways = settings->devices / FLEET_GATEWAY_EVERY;
  size_t room = settings->devices + gateways * FLEET_CHILDREN + settings->recorded_count;
  if (fleet == NULL || (fleet->members = calloc(room + 1, sizeof *fleet->members)) == NULL) {
    goto failed;
  }
  for (uint32_t i = 1; i <= settings->devices; i++) {
    if (!add_simulated(fleet, settings, i)) {
      goto failed;
    }
  }
  for (size_t i = 0; i < settings->recorded_count; i++) {
    if (!add_recorded(fleet, settings, settings->recorded[i])) {
      goto failed;
    }
  }
  return fleet;
failed:
  fleet_free(fleet);
  return NULL;
}

void fleet_free(struct fleet *fleet) {
  if (fleet == NULL) {
    return;
  }
  for (size_t i = 0; fleet->members != NULL && i < fleet->count; i++) {
    free(fleet->members[i].credential);
  }
  free(fleet->members);
  free(fleet);
}

struct member *fleet_find(const struct fleet *fleet, const char *credential) {
  for (size_t i = 0; i < fleet->count; i++) {
    if (strcmp(fleet->members[i].credential, credential) == 0) {
      return &fleet->members[i];
    }
  }
  return NULL;
}

void fleet_print(const struct fleet *fleet, FILE *out) {
  fputs("credential,model,firmware,region,time_zone,site,gateway,owner,critical\n", out);
  for (size_t i = 0; i < fleet->count; i++) {
    const struct member *m = &fleet->members[i];
    fprintf(out, "%s,%s,%s,%s,%s,%s,%s,%s,%s\n", m->credential, m->model->name, m->version, m->place->region, m->place->time_zone,
            m->place->site, m->gateway != NULL ? m->gateway->credential : "", m->owner, m->critical ? "true" : "false");
  }
}
