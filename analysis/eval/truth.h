// The truth file of a simulation (docs/scenarios.md), read: what really happened. The file may be anybody's: lines are bounded,
// and the first that is wrong is refused with its number.
#ifndef VEDETTE_ANALYSIS_EVAL_TRUTH_H
#define VEDETTE_ANALYSIS_EVAL_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
  TRUTH_LINE = 16 * 1024, // bytes of a line without its end
  TRUTH_TEXT = 512,       // bytes of a text in it
  TRUTH_MOST = 1000000,   // lines of a file
  TRUTH_EXPECTS = 64      // different kinds in its `expect`
};

#define TRUTH_OPEN INT64_MAX // an end that no line tells

#define TRUTH_SYSTEM "vedette"      // as a device: the system itself
#define TRUTH_EXPECT_NOTHING "none" // as `expect`: nothing may be raised

struct truth {
  char *fault;   // its name in the scenario
  char *kind;    // of the simulator, such as crash
  char *device;  // credential
  char *through; // a child's gateway that has the fault; NULL: the device has it
  char *expect;  // the kind that has to be raised, instead of what the kind of fault says; NULL: that
  int64_t start; // microseconds since 1970
  int64_t end;   // no earlier than start; TRUTH_OPEN
  size_t line;   // from 1
};

struct truths {
  struct truth *list; // by device, start and fault; each of these once, as its last line says
  size_t count;
  size_t room;
  int64_t newest; // the latest time in it; INT64_MIN without any
};

// Reads it to the end. False with a sentence that names `name` and the line; there is nothing to free then.
bool truths_read(FILE *in, const char *name, struct truths *truths, char *error, size_t error_size);

// Frees what it holds, once or more often.
void truths_free(struct truths *truths);

#endif
