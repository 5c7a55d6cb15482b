// The SQL that the command carries: storage/bootstrap.sql and storage/migrations/*.sql as they were when it was built.
#ifndef VEDETTE_CLI_EMBEDDED_H
#define VEDETTE_CLI_EMBEDDED_H

#include <stddef.h>

struct embedded_migration {
  int number; // 1, 2, 3, … without holes
  const char *name;
  const char *sql;
  size_t length; // bytes of sql
};

extern const char *const embedded_bootstrap;
extern const struct embedded_migration embedded_migrations[];
extern const size_t embedded_count;

#endif
