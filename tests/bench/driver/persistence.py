"""What the broker's saving costs: the pause while a full queue is written, and what a killed broker has lost."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.processes import Process, wait_until

from . import cpu
from .lab import Lab, finished
from .probe import Probe
from .results import Results, Row

LIVE = 500            # reports a second that go on meanwhile
FILLING = 25_000      # reports a second
PROBE = "probe"       # its credential
BASELINE_S = 2.0
AUTOSAVE_S = 60.0     # of the configuration that ships
SAVE_MOST_S = 60.0
LOOK_S = 0.002
QUIET_S = 3.0         # nothing more is delivered after this


class Saves:
    """The broker's saves, seen by the files that it writes: a new one beside the old one, which it then replaces."""

    def __init__(self, folder: Path) -> None:
        self._done = folder / "mosquitto.db"
        self._fresh = folder / "mosquitto.db.new"

    def wait(self, broker: Process, longest: float) -> tuple[float, float, float]:
        """The next one: begin and end by the monotonic clock, bytes."""
        before = self._number()
        self._until(lambda: self._fresh.exists() or self._number() != before, broker, longest)
        begun = time.monotonic()
        self._until(lambda: self._number() != before, broker, SAVE_MOST_S)
        return begun, time.monotonic(), float(self._done.stat().st_size)

    def _number(self) -> tuple[int, int]:
        try:
            found = self._done.stat()
        except FileNotFoundError:
            return (0, 0)
        return (found.st_ino, found.st_mtime_ns)

    @staticmethod
    def _until(condition: Callable[[], bool], broker: Process, longest: float) -> None:
        if not wait_until(lambda: condition() or not broker.alive(), longest, step=LOOK_S) or not broker.alive():
            raise StackError(f"the broker did not save within {longest:.0f} s" if broker.alive() else broker.failure())


def persistence(lab: Lab) -> dict[str, float]:
    """A full queue of a worker that is away, live traffic on top, a save, then death without a warning."""
    broker, empty_kib = _session_kept(lab)
    finished(lab.simulator(FILLING, count=lab.scale.queued), "the filling of the queue")
    acknowledged = lab.published()
    figures: dict[str, float] = {"queue_bytes": (cpu.resident_kib(broker.pid, "/none")[0] - empty_kib) * 1024 / acknowledged}
    sim = lab.simulator(LIVE)
    figures |= _pause(lab, broker)
    since_save = figures.pop("save_begun")
    figures["queued"] = float(acknowledged + figures.pop("live"))
    time.sleep(lab.scale.after_save_s)
    sim.stop(grace=10)
    acknowledged += lab.published()
    broker.kill9()
    figures |= {"since_save_s": time.monotonic() - since_save, "acknowledged": float(acknowledged)}
    return figures | _after_death(lab, acknowledged)


def _session_kept(lab: Lab) -> tuple[Process, int]:
    """A broker with the session of a worker that has gone, and its memory in KiB."""
    lab.empty_store()
    broker = lab.fresh_broker()
    lab.start_ingest(firehose=False).stop(grace=15)
    return broker, cpu.resident_kib(broker.pid, "/none")[0]


def _pause(lab: Lab, broker: Process) -> dict[str, float]:
    """Probes across a save: the one that the clock brings, or with --quick one that is asked for."""
    lab.stack.authority.issue_devices([PROBE])
    base = lab.stack.authority.devices / PROBE
    probe = Probe(lab.stack.ports.devices, lab.stack.authority.ca, base.with_suffix(".crt"), base.with_suffix(".key"))
    try:
        saves, begun = Saves(lab.stack.broker.folder / "data"), time.monotonic()
        time.sleep(BASELINE_S)
        usual = statistics.median(probe.round_trips_ms(begun, time.monotonic()))
        if lab.scale.ask_save:
            os.kill(broker.pid, signal.SIGUSR1)
        save_begun, save_ended, size = saves.wait(broker, AUTOSAVE_S + SAVE_MOST_S)
        live = lab.published()
        time.sleep(1)  # the answer after the save
    finally:
        probe.end()
    return {"usual_ms": usual, "pause_ms": max(probe.round_trips_ms(save_begun, save_ended)), "save_s": save_ended - save_begun,
            "save_bytes": size, "save_begun": save_begun, "live": float(live)}


def _after_death(lab: Lab, acknowledged: int) -> dict[str, float]:
    """Starts broker and worker again and counts what comes."""
    begun = time.monotonic()
    lab.stack.broker.start(deadline=120)
    back_s, begun_us = time.monotonic() - begun, time.time_ns() // 1000
    worker = lab.start_ingest(firehose=False)
    seen, quiet_since = 0, time.monotonic()

    def over() -> bool:
        nonlocal seen, quiet_since
        reports = lab.batches(begun_us)[0]
        if reports != seen:
            seen, quiet_since = reports, time.monotonic()
        time.sleep(0.2)
        return time.monotonic() - quiet_since > QUIET_S

    lab.wait(worker, over, "the end of the queue", lab.stack.broker.process)
    worker.stop(grace=15)
    last_us = lab.batches(begun_us)[3]
    ((rows,),) = lab.sql("SELECT count(*) FROM store.report")
    return {"back_s": back_s, "delivered": float(rows), "lost": float(max(0, acknowledged - rows)),
            "per_s": seen / max((last_us - begun_us) / 1e6, 1e-6)}


def persistence_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    if not results.has("persistence"):
        return []
    figures = results.rounds["persistence"][0]
    return [
        Row(f"Mosquitto with {figures['queued']:,.0f} messages queued: pause of a save", f"{figures['pause_ms']:,.0f} ms",
            f"{figures['pause_ms'] / figures['usual_ms']:,.0f} of usual",
            f"longest PINGREQ → PINGRESP, {figures['usual_ms']:,.1f} ms in the median otherwise; the save takes {figures['save_s']:.2f} s for"
            f" {figures['save_bytes'] / 2**20:,.0f} MiB; {figures['queue_bytes']:,.0f} bytes of memory a message; as shipped 1,000,000 messages or 256 MiB of"
            " payload may wait"),
        Row("  killed: lost of what it acknowledged", f"{figures['lost']:,.0f}", f"{figures['lost'] / figures['acknowledged']:.4f} of all",
            f"published within {figures['since_save_s']:.1f} s since the save began at {LIVE}/s; listening again after"
            f" {figures['back_s']:.1f} s; {figures['delivered']:,.0f} delivered to the kept session at {figures['per_s']:,.0f}/s"),
    ]
