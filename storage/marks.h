// Marks of a report in the store: what ingest found and analysis has to know. Bits of store.report.marks.
#ifndef VEDETTE_STORAGE_MARKS_H
#define VEDETTE_STORAGE_MARKS_H

enum { MARK_HISTORICAL = 1, MARK_NO_CLOCK = 2, MARK_AHEAD = 4, MARK_BEHIND = 8, MARK_NO_SEQUENCE = 16 };

#endif
