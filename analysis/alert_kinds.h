// Every kind of alert there is. The loop's thread only, like all of analysis; the names are the store's.
#ifndef VEDETTE_ANALYSIS_ALERT_KINDS_H
#define VEDETTE_ANALYSIS_ALERT_KINDS_H

#include <stdbool.h>

enum alert_kind {
  ALERT_SILENT,
  ALERT_LINK_LOST,
  ALERT_MESSAGE_RATE,
  ALERT_MESSAGE_VOLUME,
  ALERT_IDENTITY_MISMATCH,
  ALERT_MALFORMED_BURST,
  ALERT_LOGIN_FAILURES,
  ALERT_FIRMWARE_NOT_RELEASED,
  ALERT_RECORDS_LOST,
  ALERT_ROWS_MISSING,
  ALERT_MESSAGES_SHED,
  ALERT_FLAPPING,
  ALERT_REBOOT_LOOP,
  ALERT_FROZEN,
  ALERT_PARTIAL_LOSS,
  ALERT_CLOCK,
  ALERT_BATTERY,
  ALERT_NEVER_SEEN,
  ALERT_BLIND,
  ALERT_COHORT_SILENT,
  ALERT_RECONNECT_STORM,
  ALERT_DID_NOT_RETURN,
  ALERT_BYTES_OUT,
  ALERT_BYTES_IN,
  ALERT_PACKETS_OUT,
  ALERT_PACKETS_IN,
  ALERT_CONNECTIONS,
  ALERT_DESTINATIONS,
  ALERT_LISTENING_PORTS,
  ALERT_VALUE,
  ALERT_KINDS // how many; no kind
};

const char *alert_kind_name(enum alert_kind kind);
enum alert_kind alert_kind_find(const char *name); // ALERT_KINDS: there is none of that name
// Of the outage family: what maintenance withholds. All others are always told.
bool alert_kind_is_outage(enum alert_kind kind);

#endif
