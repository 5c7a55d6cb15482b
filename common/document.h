// A YAML file that people write, read through libyaml: a bounded size, and errors that name file, line and field. What its keys
// mean is the caller's matter (config.c; ingest/mapping_file.c).
#ifndef VEDETTE_COMMON_DOCUMENT_H
#define VEDETTE_COMMON_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <yaml.h>

enum { DOCUMENT_LIMIT = 256 * 1024 }; // bytes

struct document {
  const char *path; // for errors; the caller's
  char *error;      // one clear sentence goes here; the caller's
  size_t error_size;
  yaml_document_t yaml;
};

// Reads `file` into document->yaml, to be freed with yaml_document_delete. False with the error said.
bool document_read(struct document *document, FILE *file);

// Writes the error `<path>, line <line>: <field>: <why>`; line 0 and an empty field are left out. Always false.
bool document_refuse(struct document *document, size_t line, const char *field, const char *why, ...)
    __attribute__((format(printf, 4, 5)));

size_t document_line(const yaml_node_t *node);        // counted from 1
const char *document_scalar(const yaml_node_t *node); // NULL where it is a list or a mapping

// A finite number within bounds; with `whole` one without a fraction. False with the error said.
bool document_number(struct document *document, size_t line, const char *field, const char *text, bool whole, double least,
                     double most, double *out);

#endif
