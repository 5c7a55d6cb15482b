"""Whether memory stays flat: ingest on the firehose at full load for as long as is asked."""

from __future__ import annotations

import statistics
import time

from deploy.local.errors import StackError
from deploy.local.processes import Process

from . import cpu
from .lab import LONGEST_S, Lab
from .results import Results, Row

MINUTE_S = 60


def soak(lab: Lab) -> dict[str, float]:
    """Resident memory each minute. The store is emptied each minute: an hour's rows would fill the disk."""
    lab.empty_store()
    seconds = lab.scale.minutes * MINUTE_S
    hose = lab.firehose(lab.scale.reports, "--again", str(seconds), seconds=seconds + int(LONGEST_S))
    worker = lab.start_ingest(firehose=True)
    lab.warmed(hose)
    begun, used = time.monotonic(), cpu.of_process(worker.pid)
    rests, journals = zip(*(_minute(lab, worker, hose, begun + minute * MINUTE_S) for minute in range(1, lab.scale.minutes + 1)))
    played = lab.played(hose)
    lab.wait(worker, lambda: lab.batches(played.first_us)[0] >= played.measured, "the last commit")
    committed, _, duplicates, last_us = lab.batches(played.first_us)
    used = cpu.of_process(worker.pid) - used
    worker.stop(grace=15)
    hose.stop()
    if committed != played.measured or duplicates:
        raise StackError(f"of {played.measured} reports {committed} are committed and {duplicates} were there before")
    slope = statistics.linear_regression(range(1, len(rests) + 1), rests).slope
    return {"per_s": played.measured / ((last_us - played.first_us) / 1e6), "reports": float(played.measured),
            "cpu_us": used.total / played.measured, "minutes": float(lab.scale.minutes), "first_mib": rests[0] / 1024,
            "last_mib": rests[-1] / 1024, "most_mib": max(rests) / 1024, "slope_kib": slope, "journal_mib": max(journals) / 1024,
            } | {f"minute {number} mib": rest / 1024 for number, rest in enumerate(rests, 1)}


def _minute(lab: Lab, worker: Process, hose: Process, due: float) -> tuple[int, int]:
    """Waits for the end of a minute; memory in KiB beside the journal's mapping, and of it."""
    lab.wait(worker, lambda: time.monotonic() >= due, "the end of a minute", hose)
    memory = cpu.resident_kib(worker.pid, "/journal")
    lab.sql("TRUNCATE store.report")
    return memory


def soak_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    if not results.has("soak"):
        return []
    figures = results.rounds["soak"][0]
    return [
        Row(f"firehose → ingest for {figures['minutes']:.0f} minutes", f"{figures['per_s']:,.0f}/s", "",
            f"{figures['reports']:,.0f} reports, each committed once; CPU {figures['cpu_us']:.1f} µs a report"),
        Row("  its memory", f"{figures['most_mib']:.1f} MiB at most", f"{figures['last_mib'] / figures['first_mib']:.3f} of the first minute",
            f"after one minute {figures['first_mib']:.1f}, at the end {figures['last_mib']:.1f} MiB; {figures['slope_kib']:+.1f} KiB a minute;"
            f" beside at most {figures['journal_mib']:.0f} MiB of the journal's mapping"),
    ]
