// `vedette`, the operator's command: its commands.
#include "cli/commands.h"
#include "cli/dispatch.h"

#define ERASE_HELP                                                                                                               \
  "Reports, raw and compressed, rollups, events, alerts, dead letters, what detectors learned; the workers empty their "         \
  "journals\n"                                                                                                                   \
  "and clear what the broker retains. What the devices send later, or a worker brings late, is refused without a trace. A "      \
  "receipt\n"                                                                                                                    \
  "with counts stays, which does not say of whom. Backups are yours to age."

#define VISIT_HELP                                                                                                               \
  "WHEN is 2h, 7d (from now on), 2026-03-01 (its beginning) or 2026-03-01T12:00Z; none: no visit is planned. For example:\n"     \
  "  vedette device visit meter-7 2026-06-30T09:00\n"                                                                            \
  "  vedette device visit meter-7 none"

#define CONNECTIVITY_HELP                                                                                                        \
  "Oldest first, the newest 50 of them: each change, and when we were blind and saw again. Above them stands how it is now.\n"   \
  "For example:\n"                                                                                                               \
  "  vedette connectivity pump-7 --since 7d\n"                                                                                   \
  "  vedette connectivity pump-7 --since 2026-03-01 --until 2026-03-02"

#define MAINTENANCE_HELP                                                                                                         \
  "Which devices: --device, --model, --region, --site, --firmware, at least one; of several all have to hold. For example:\n"    \
  "  vedette maintenance add --site north --for 2h --reason 'new switch'\n"                                                      \
  "  vedette maintenance add --model pump-2 --firmware 1.3 --from 2026-03-01T22:00 --until 2026-03-02T04:00 --reason update"

#define MODEL_HELP                                                                                                               \
  "A model that is not known yet is made. What is not given stays as it is; none takes it away. For example:\n"                  \
  "  vedette model set meter --class battery --cadence 1h --battery battery/level\n"                                             \
  "  vedette model set meter --patience none"

static const struct command commands[] = {
    {"status", NULL, "", "Show how the installation is doing: workers, devices, reports, dead letters, alerts, gaps.", NULL,
     status},
    {"tail", NULL, "", "Show reports and alerts as they are committed, until Ctrl-C.",
     "Without --alerts or --reports both are shown. With --json: one object a line.", tail},
    {"device", "list", "", "List registered devices by credential.", NULL, device_list},
    {"device", "show", "CREDENTIAL", "Show one device: what is registered, what it said last, its open alerts.", NULL,
     device_show},
    {"device", "add", "CREDENTIAL", "Register one device.",
     "CREDENTIAL is the common name of the device's certificate: UTF-8 without / + # and control characters, at most 128 bytes.\n"
     "A model or owner that is not known yet is made.",
     device_add},
    {"device", "import", "FILE|-", "Register or change many devices from a CSV file.",
     "Header: credential,model,firmware,region,time_zone,site,gateway,owner,critical\n"
     "One device a line, fields quoted as in RFC 4180, at most 64 KiB a line. A device that is known is changed to what the "
     "line\n"
     "says; an empty field clears the value (time_zone: UTC, critical: no). A line with an error is named and left out, the "
     "rest\n"
     "goes in, all at once; the exit code is then 1.",
     device_import},
    {"device", "export", "[FILE]", "Write all devices as CSV, in the form that import reads.", NULL, device_export},
    {"device", "erase", "CREDENTIAL", "Erase a device and everything that is known of it, for good.", ERASE_HELP, device_erase},
    {"device", "visit", "CREDENTIAL WHEN|none", "Say when somebody can change a device's battery.", VISIT_HELP, device_visit},
    {"connectivity", NULL, "CREDENTIAL", "Show how a device was over time, and why.", CONNECTIVITY_HELP, connectivity},
    {"series", "show", "CREDENTIAL [METRIC]",
     "Show what was learned of a device's values: kind, age, what is usual, last scores.",
     "METRIC is one of them, as the list without it names it: 'bytes out'. It is as of the last checkpoint of vedette-analysis.",
     series_show},
    {"maintenance", "add", "", "Say that devices are being worked on: alerts about their absence are withheld.", MAINTENANCE_HELP,
     maintenance_add},
    {"maintenance", "list", "", "List what is being worked on, or going to be.", NULL, maintenance_list},
    {"maintenance", "end", "ID", "End a maintenance now; one that has not begun is taken back.",
     "ID is its number, as `vedette maintenance list` shows it. For example:\n  vedette maintenance end 7", maintenance_end},
    {"model", "list", "", "List models, and what is expected of their devices.", NULL, model_list},
    {"model", "set", "NAME", "Say what is expected of the devices of a model.", MODEL_HELP, model_set},
    {"firmware", "list", "", "List the known firmware images.", NULL, firmware_list},
    {"firmware", "add", "MODEL VERSION SHA256", "Make a firmware image known.",
     "SHA256 is the SHA-256 of the image, 64 hexadecimal digits. A model is judged once it has at least one known image.",
     firmware_add},
    {"firmware", "import", "FILE|-", "Make many firmware images known, from a CSV file.",
     "Header: model,version,image_hash\nModels that are not known yet are made. A line with an error is named and left out.",
     firmware_import},
    {"alert", "list", "", "List alerts, newest first.", "Without --state: open and acknowledged ones.", alert_list},
    {"alert", "show", "ID", "Show what an alert is about: observed, expected, the evidence, what would clear it, its timeline.",
     NULL, alert_show},
    {"deadletter", "list", "", "List dead letters, the messages that were rejected, newest first.", "Without --state: open ones.",
     deadletter_list},
    {"deadletter", "show", "ID", "Show a dead letter: what is wrong with it, what can be read of it, every byte of it.", NULL,
     deadletter_show},
    {"deadletter", "replay", "[ID…]", "Hand dead letters back to an ingest worker, after a fix.",
     "Takes open letters by number, or all that --device, --reason and --since have in common. A worker puts them into its "
     "journal,\n"
     "where they are new messages: received now, historical, stored once however often, or rejected again as new letters.\n"
     "With --dry-run they are decoded and checked as they would be now, and nothing changes; what the limits of metrics say\n"
     "shows only in a replay.",
     deadletter_replay},
    {"deadletter", "drop", "[ID…]", "Let dead letters go that nobody needs.",
     "Takes letters that are open, or queued and not with a worker yet. Their payload goes; that they were there stays, for the\n"
     "ledger.",
     deadletter_drop},
    {"ledger", NULL, "", "Show what became of everything received, by worker and minute, and whether it adds up.",
     "received = stored + duplicate + rejected + shed, each counted where it happens. With --check only what does not add up is\n"
     "shown, with worker and minute, and the exit code is then 1.",
     ledger},
    {"journal", "inspect", "[FOLDER]", "Show what an ingest worker's journal holds: its segments, or each record.",
     "FOLDER is the journal's; without it the one of the configuration. Nothing is changed, and a worker may have it open. "
     "Payloads\n"
     "are never shown. With --records --json: one object a line.",
     journal_inspect},
    {"journal", "verify", "[FOLDER]", "Read every record of a journal and say what is damaged.",
     "FOLDER is the journal's; without it the one of the configuration. Nothing is changed, and a worker may have it open. The "
     "exit\n"
     "code is 1 where a record or a segment is damaged. Remains of a write that a crash cut short are none: they were never\n"
     "acknowledged, or not on the disk yet (journal.sync_ms), and the next start cuts them off.",
     journal_verify},
    {"worker", "list", "", "List ingest workers and their journals.", NULL, worker_list},
    {"worker", "retire", "NAME", "Retire an ingest worker that will not come back.",
     "Its journal is closed in the store: records that were acknowledged to devices and are not stored yet count as lost, the\n"
     "worker can store nothing more with that journal, and analysis no longer waits for it. There is no way back.",
     worker_retire},
    {"owner", "list", "", "List owners and how many devices each has.", NULL, owner_list},
    {"owner", "export", "NAME [FILE]", "Write everything that is known of an owner's devices.",
     "One JSON object a line: {\"kind\": …, \"row\": {…}}. The last line is of kind end and says how many came before it; "
     "without it the\n"
     "export is not whole. FILE must not be there yet, and only you may read it.",
     owner_export},
    {"owner", "erase", "NAME", "Erase an owner, their devices, and everything that is known of these, for good.", ERASE_HELP,
     owner_erase},
    {"erasure", "list", "", "List what was erased, newest first: counts, and who still has to do their part.", NULL,
     erasure_list},
    {"retention", "list", "", "Show how long what is kept.", NULL, retention_list},
    {"retention", "set", "CLASS TIME", "Change how long a class of data is kept.",
     "TIME is 30d, 2w, 13mo or 2y. What is older is deleted within the hour, and older reports are refused from then on.",
     retention_set},
    {"retention", "clear", "CLASS", "Let a model have the time of all others again.", NULL, retention_clear},
    {"migrate", NULL, "", "Bring the database to this version.",
     "Runs the migrations that this program carries, each in a transaction of its own, as role vedette_admin.", migrate},
    {"doctor", NULL, "", "Look at everything that goes wrong slowly, and say what to do about it.",
     "Server settings, schema, roles, partitions, retention, compression, dead rows, workers, certificates, clocks, disks. The "
     "exit\n"
     "code is 1 where something is bad. What this user may not see is unknown: as root, on the server's machine, all is seen.",
     doctor},
    {"config", "check", "", "Check the configuration file.", NULL, config_check},
    {"version", NULL, "", "Show the version.", NULL, version},
};

int main(int argc, char **argv) {
  const struct dispatch dispatch = {"vedette", commands, sizeof commands / sizeof commands[0]};
  return dispatch_main(&dispatch, argc, argv);
}
