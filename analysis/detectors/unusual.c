#include "analysis/detectors/unusual.h"

static const char *why(const struct series_finding *finding) {
  switch (finding->cause) {
  case SERIES_TIME_OF_DAY: return "unusual at this time of the day";
  case SERIES_LOW: return "low for longer than ever";
  case SERIES_CALM: return "more even than ever";
  case SERIES_BUSY: return "busier than ever";
  default: return "outside of all that was seen";
  }
}

void unusual_raise(struct context *context, struct device *device, const struct unusual *unusual, const struct held_value *held,
                   const struct series_finding *finding, const struct observation *o) {
  const struct series *series = &held->value.series;
  const char *unit = unusual->unit;
  double days = ((double)series->time / 1e6 - series->began) / 86400;
  struct explanation explanation = {
      .observed = json_pack("{s:s, s:f, s:s}", "metric", unusual->name, "value", finding->looked, "unit", unit),
      .expected = json_pack("{s:f, s:f, s:s}", "low", finding->band.low, "high", finding->band.high, "unit", unit),
      .baseline = json_pack("{s:s, s:f, s:i, s:s, s:f, s:f}", "of", "this device's own history", "days", days, "samples",
                            (int)series->samples, "kind", series_kind_name(series_kind(series)), "chance", finding->chance,
                            "score", finding->score),
      .rank = values_rank(context, device, held, unusual->name),
      .report = o,
      .clears_when = "three values in a row are within what was usual before, or it has been so for a day",
  };
  alert_raise(context, device, unusual->kind, SEVERITY_MAJOR, o->received, explanation,
              "%s: %s is %.4g%s%s, %s; in %.1f days it was %.4g to %.4g.", device_credential(device), unusual->name,
              finding->looked, unit[0] != '\0' ? " " : "", unit, why(finding), days, finding->band.low, finding->band.high);
}
