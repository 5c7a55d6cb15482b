"""How fast a backlog drains while live traffic goes on: one that the journal holds, and one that the broker holds."""

from __future__ import annotations

import json
import time
import urllib.request

from deploy.local.errors import StackError
from deploy.local.processes import Process

from . import cpu
from .broker import Window, lag
from .lab import Lab, finished
from .results import Results, Row

LIVE = 0.15                # of what the null subscriber reached: the load that goes on
FILLING = 0.7              # of the same: how fast the backlog is made
BROKER_HOLDS = 1_000_000   # messages, in the configuration that ships
LIVE_ROOM = 0.9            # of that may be backlog; live messages come on top
NORMAL_MS = 1000.0         # the backlog is over when nothing is committed later than this after it was published
WANTED = 5.0               # times the live load: an hour's backlog within 15 minutes, with live traffic on top
WATCH_S = 3.0              # after it is over


class Backlog:
    """One measurement: live traffic, the outage, the backlog, live traffic again, the drain."""

    def __init__(self, lab: Lab, reached: float) -> None:
        self._lab = lab
        self._reached = reached
        self._rate = LIVE * reached
        self._messages = round(min(lab.scale.backlog_s * self._rate, LIVE_ROOM * BROKER_HOLDS))
        self._acknowledged = 0  # of simulators that have ended
        lab.empty_store()
        self.begun_us = time.time_ns() // 1000
        self.broker = lab.fresh_broker()
        self.worker = lab.start_ingest(firehose=False)
        self.figures: dict[str, float] = {"backlog": float(self._messages)}
        self._live: Process

    def live(self) -> None:
        """Starts the traffic that goes on."""
        self._live = self._lab.simulator(self._rate)

    def still(self) -> None:
        """Ends it; what was published must be known."""
        self._live.stop(grace=10)
        self._acknowledged += self._lab.published()

    def usual(self) -> None:
        """The lag without a backlog."""
        self.live()
        time.sleep(self._lab.scale.settle_s)
        window = Window(self._lab, mosquitto=self.broker, simulator=self._live, ingest=self.worker)
        time.sleep(self._lab.scale.seconds)
        before = window.end()
        self.still()
        self._wait_committed()
        self.figures |= {f"before {name}": value for name, value in (before | lag(self._lab, window)).items()}

    def fill(self) -> None:
        """Publishes the backlog, faster than live."""
        finished(self._lab.simulator(FILLING * self._reached, count=self._messages), "the backlog")
        self._acknowledged += self._lab.published()

    def drain(self, begun_us: int) -> None:
        """Waits for the end of the backlog, which has begun to go at a time."""
        window = Window(self._lab, mosquitto=self.broker, simulator=self._live, ingest=self.worker)
        live_before, live_since = self._told()
        self._wait_committed()
        cores = window.end()
        time.sleep(WATCH_S)
        live_after, live_until = self._told()
        live = (live_after - live_before) / (live_until - live_since)
        ended_us = self._over()
        ((drained,),) = self._lab.sql(
            "SELECT coalesce(sum(reports), 0) FROM store.batch WHERE pg_xact_commit_timestamp(xmin) > to_timestamp(%s / 1e6)"
            " AND pg_xact_commit_timestamp(xmin) <= to_timestamp(%s / 1e6)", begun_us, ended_us)
        seconds = (ended_us - begun_us) / 1e6
        self.still()
        self._wait_committed()
        self.figures |= {"seconds": seconds, "per_s": float(drained) / seconds, "live_per_s": live, "asked_per_s": self._rate} | cores

    def _told(self) -> tuple[float, float]:
        """How many reports of the live traffic were acknowledged, and after how many seconds the simulator told so."""
        status = json.loads(self._lab.stack.sim_status.read_text(encoding="utf-8"))
        return status["acknowledged"], status["seconds"]

    def nothing_lost(self) -> None:
        """What the broker acknowledged must be there."""
        self.worker.stop(grace=15)
        ((rows,),) = self._lab.sql("SELECT count(*) FROM store.report")
        if rows < self._acknowledged:
            raise StackError(f"of {self._acknowledged} reports that the broker acknowledged {rows} are stored")

    def _wait_committed(self) -> None:
        """Until all that the simulators told of is committed; the last of them tells once a second."""
        def done() -> bool:
            running = self._lab.published() if self._live.alive() else 0
            time.sleep(0.1)  # asking costs the database something too
            return self._lab.batches(self.begun_us)[0] >= self._acknowledged + running

        self._lab.wait(self.worker, done, "the end of the backlog", self.broker)

    def _over(self) -> int:
        """When the last batch with a late report was committed, Unix microseconds."""
        ((ended,),) = self._lab.sql(
            "SELECT (extract(epoch FROM max(b.at)) * 1e6)::bigint FROM store.report r"
            " JOIN (SELECT store.batch_key(feed, number) AS key, pg_xact_commit_timestamp(xmin) AS at FROM store.batch) b"
            " ON b.key = r.batch WHERE b.at - r.time > make_interval(secs => %s / 1e3)", NORMAL_MS)
        if ended is None:
            raise StackError("there was no backlog: everything was committed at once")
        return int(ended)


def store_away(lab: Lab, results: Results) -> dict[str, float]:
    """PostgreSQL is away and comes back; the journal holds what comes in."""
    backlog = Backlog(lab, results.rounds["null"][-1]["per_s"])
    backlog.usual()
    lab.stack.postgres.stop()
    backlog.fill()
    held = _metrics(lab)
    backlog.figures |= {"journal_bytes": held["vedette_ingest_journal_pending_bytes"] / held["vedette_ingest_journal_records"],
                        "held": held["vedette_ingest_journal_records"]}
    backlog.live()
    lab.stack.postgres.start()
    backlog.drain(time.time_ns() // 1000)
    backlog.nothing_lost()
    return backlog.figures


def ingest_away(lab: Lab, results: Results) -> dict[str, float]:
    """The worker is away and comes back; the broker holds what comes in, in the worker's session."""
    backlog = Backlog(lab, results.rounds["null"][-1]["per_s"])
    backlog.usual()
    backlog.worker.stop(grace=15)
    empty = cpu.resident_kib(backlog.broker.pid, "/none")[0]
    backlog.fill()
    full = cpu.resident_kib(backlog.broker.pid, "/none")[0]
    backlog.figures |= {"queue_bytes": (full - empty) * 1024 / backlog.figures["backlog"], "held": backlog.figures["backlog"]}
    backlog.live()
    begun_us = time.time_ns() // 1000
    backlog.worker = lab.start_ingest(firehose=False)
    backlog.drain(begun_us)
    backlog.nothing_lost()
    return backlog.figures


def _metrics(lab: Lab) -> dict[str, float]:
    """The worker's metrics that have no labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{lab.stack.ports.ingest_http}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#") and "{" not in line)}


def backlog_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    found = []
    for part, where, size in (("backlog", "the journal", "journal_bytes"), ("backlog-broker", "the broker", "queue_bytes")):
        if not results.has(part):
            continue
        figures = results.rounds[part][0]
        ratio = figures["per_s"] / figures["live_per_s"]
        room = f", where {BROKER_HOLDS:,} may wait: {BROKER_HOLDS / figures['live_per_s']:,.0f} s of this load" if part == "backlog-broker" else ""
        cores = ", ".join(f"{name.removeprefix('cores ')} {value:.2f}" for name, value in figures.items() if name.startswith("cores "))
        hour = f"an hour's backlog in {60 / (ratio - 1):.1f} min" if ratio > 1 else "an hour's backlog never"
        found += [
            Row(f"backlog in {where} drains under live traffic", f"{figures['per_s']:,.0f}/s",
                f"{ratio:.1f} of the live load", f"{hour}; at least {WANTED:.0f} is wanted; {figures['held']:,.0f} messages in"
                f" {figures['seconds']:.1f} s beside {figures['live_per_s']:,.0f}/s live"),
            Row("  cores used, and room", f"{figures[size]:,.0f} bytes", "",
                f"a message in {where}{room}; cores used: {cores}; p99 before {figures.get('before p99_ms', 0):,.0f} ms"),
        ]
    return found
