// The commands, one function each; what they take and give is in cli/cli.h.
#ifndef VEDETTE_CLI_COMMANDS_H
#define VEDETTE_CLI_COMMANDS_H

#include "cli/cli.h"

#define COMMAND(name) int name(struct cli *cli, const struct command *command, int argc, char **argv)

COMMAND(alert_list);
COMMAND(alert_show);
COMMAND(config_check);
COMMAND(connectivity);
COMMAND(deadletter_drop);
COMMAND(deadletter_list);
COMMAND(deadletter_replay);
COMMAND(deadletter_show);
COMMAND(device_add);
COMMAND(device_erase);
COMMAND(device_export);
COMMAND(device_import);
COMMAND(device_list);
COMMAND(device_show);
COMMAND(device_visit);
COMMAND(doctor);
COMMAND(erasure_list);
COMMAND(firmware_add);
COMMAND(firmware_import);
COMMAND(firmware_list);
COMMAND(journal_inspect);
COMMAND(journal_verify);
COMMAND(ledger);
COMMAND(maintenance_add);
COMMAND(maintenance_end);
COMMAND(maintenance_list);
COMMAND(migrate);
COMMAND(model_list);
COMMAND(model_set);
COMMAND(owner_erase);
COMMAND(owner_export);
COMMAND(owner_list);
COMMAND(retention_clear);
COMMAND(retention_list);
COMMAND(retention_set);
COMMAND(series_show);
COMMAND(status);
COMMAND(tail);
COMMAND(version);
COMMAND(worker_list);
COMMAND(worker_retire);

#undef COMMAND

#endif
