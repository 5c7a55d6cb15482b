// What is known of a device's rhythm beside what it has shown: of the registry, of its model, and of false alarms.
#include "analysis/context.h"

#include <math.h>

static const double day = 86400;

static const double growth = 0.2; // of the trust's logarithm, with each false alarm
static const double trust_most = 8;
static const double lost_mains = 2.2; // usual gaps: one report is lost, the next comes a little late
static const double lost_others = 8;  // a radio may lose many

struct cadence_prior device_prior(const struct context *context, const struct device *device) {
  const struct model *model = device->model;
  return (struct cadence_prior){.usual = model->cadence > 0 ? model->cadence : (double)model->learned.usual,
                                .tolerated = model->class == CLASS_MAINS ? lost_mains : lost_others,
                                .least = context->config->connectivity.slack_s,
                                .rate = context->config->connectivity.rate,
                                .young = context->config->connectivity.young,
                                .learn_s = context->config->connectivity.learn_s};
}

// It shrinks with the days of devices that were not called silent wrongly.
static double trust_now(const struct context *context, const struct model *model) {
  double days = seconds(context->now - model->learned.relaxed_at) / day;
  double earned = growth * context->config->connectivity.rate * model->devices * days;
  return model->learned.trust > 1 ? fmax((double)model->learned.trust * exp(-earned), 1) : 1;
}

double device_patience(const struct context *context, const struct device *device, const struct cadence *cadence) {
  const struct cadence_prior prior = device_prior(context, device);
  const double given = device->model->patience;
  return given > 0 ? given : cadence_patience(cadence, &prior) * trust_now(context, device->model);
}

void device_false_alarm(struct context *context, struct device *device) {
  struct model *model = device->model;
  model->learned.trust = (float)fmin(trust_now(context, model) * exp(growth), trust_most);
  model->learned.relaxed_at = context->now;
  model->dirty = true;
}

void device_tell_usual(struct device *device, double usual) {
  struct model *model = device->model;
  double before = (double)model->learned.usual;
  model->learned.usual = (float)(before > 0 ? before * pow(usual / before, 0.1) : usual);
  model->dirty = true;
}
