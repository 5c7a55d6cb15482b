#include "analysis/alert_kinds.h"

#include <string.h>

static const struct {
  const char *name;
  bool outage;
} kinds[ALERT_KINDS] = {
    [ALERT_SILENT] = {"silent", true},
    [ALERT_LINK_LOST] = {"link lost", true},
    [ALERT_MESSAGE_RATE] = {"message rate", false},
    [ALERT_MESSAGE_VOLUME] = {"message volume", false},
    [ALERT_IDENTITY_MISMATCH] = {"identity mismatch", false},
    [ALERT_MALFORMED_BURST] = {"malformed burst", false},
    [ALERT_LOGIN_FAILURES] = {"login failures", false},
    [ALERT_FIRMWARE_NOT_RELEASED] = {"firmware not released", false},
    [ALERT_RECORDS_LOST] = {"records lost", false},
    [ALERT_ROWS_MISSING] = {"rows missing", false},
    [ALERT_MESSAGES_SHED] = {"messages shed", false},
    [ALERT_FLAPPING] = {"flapping", true},
    [ALERT_REBOOT_LOOP] = {"reboot loop", true},
    [ALERT_FROZEN] = {"frozen", true},
    [ALERT_PARTIAL_LOSS] = {"partial loss", true},
    [ALERT_CLOCK] = {"clock", true},
    [ALERT_BATTERY] = {"battery", true},
    [ALERT_NEVER_SEEN] = {"never seen", true},
    [ALERT_BLIND] = {"blind", false},
    [ALERT_COHORT_SILENT] = {"cohort silent", true},
    [ALERT_RECONNECT_STORM] = {"reconnect storm", true},
    [ALERT_DID_NOT_RETURN] = {"did not return", true},
    [ALERT_BYTES_OUT] = {"bytes out", false},
    [ALERT_BYTES_IN] = {"bytes in", false},
    [ALERT_PACKETS_OUT] = {"packets out", false},
    [ALERT_PACKETS_IN] = {"packets in", false},
    [ALERT_CONNECTIONS] = {"connections", false},
    [ALERT_DESTINATIONS] = {"destinations", false},
    [ALERT_LISTENING_PORTS] = {"listening ports", false},
    [ALERT_VALUE] = {"value", false},
};

const char *alert_kind_name(enum alert_kind kind) {
  return kind < ALERT_KINDS ? kinds[kind].name : "";
}

enum alert_kind alert_kind_find(const char *name) {
  unsigned at = 0;
  while (at < ALERT_KINDS && strcmp(kinds[at].name, name) != 0) {
    at++;
  }
  return (enum alert_kind)at;
}

bool alert_kind_is_outage(enum alert_kind kind) {
  return kind < ALERT_KINDS && kinds[kind].outage;
}
