"""Blindness through the store and the real vedette-analysis: an hour in which, for twenty minutes, ingest, the broker or the store is away.

What ingest would have committed is written into the store: the rows in advance, each batch at its moment. The worker's clock on the wall is one
that we show it (shown_clock.c), so event time is played as fast as the worker keeps up."""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError
from deploy.local.processes import Process, wait_until

from .lab import Lab

BEFORE_S, AWAY_S, AFTER_S = 1200, 1200, 1200
CADENCE_S = 60
DIE = 5
STEP_S = 5            # of event time, between looks at the clock
DRAINED = {"ingest": 24.0, "backlog": 5.0}  # times the live load: how fast what waits at the broker comes, when ingest is back
RETURN_S = 60         # until all devices are back at a broker that was away
CATCHES_UP = 20       # times real time: batches that wait in the journal
LONGEST_S = 900.0
CASES = ("ingest", "backlog", "broker", "store")  # what is away; "backlog": ingest, and what waited comes slowly
TABLES = ("batch", "report", "connectivity", "analysed_batch", "checkpoint", "detector_state", "series_state", "connectivity_now", "connectivity_change", "alert",
          "alert_event", "blind_interval")

PLAN = """
DROP TABLE IF EXISTS bench.said, bench.plan;
CREATE UNLOGGED TABLE bench.said AS
WITH made AS (
  SELECT d AS device, k AS sequence, %(t0)s + (d * 7919 %% 60000) / 1000.0 + k * %(cadence)s + (random() - 0.5) * 3 AS sent
  FROM generate_series(0, %(devices)s - 1) d, generate_series(0, %(length)s / %(cadence)s - 1) k
), alive AS (
  SELECT *, sent >= %(away)s AND sent < %(back)s AS missed, row_number() OVER (PARTITION BY sent >= %(away)s ORDER BY sent) AS place,
         %(back)s + 2 + (device * 104729::bigint %% (%(return)s * 1000)) / 1000.0 AS again FROM made
  WHERE device >= %(die)s OR sent < %(away)s + %(length)s / 6 + device * 30)
SELECT %(base)s + device AS device, sequence + 1 AS sequence, sent,
       CASE WHEN %(case)s = 'ingest' AND sent >= %(away)s THEN greatest(sent + 0.05, %(back)s + place / %(drained)s::float8) ELSE sent + 0.05 END AS received
FROM alive WHERE %(case)s <> 'broker' OR sent < %(away)s OR sent >= again;
CREATE UNLOGGED TABLE bench.plan AS
SELECT n + 1 AS number, s AS second, %(t0)s + s + 1 AS received_to,
       CASE WHEN s >= %(length)s / 3 AND s < 2 * %(length)s / 3 AND %(case)s = 'broker' THEN %(t0)s + s + 1
            WHEN s >= 2 * %(length)s / 3 AND %(case)s <> 'store' THEN %(back)s ELSE %(t0)s - 3600 END AS seeing_since,
       CASE WHEN s >= %(length)s / 3 AND %(case)s = 'store' THEN greatest(%(t0)s + s + 1.1, %(back)s + (s - %(length)s / 3) / %(catches_up)s::float8)
            ELSE %(t0)s + s + 1.1 END AS committed_at
FROM (SELECT s, row_number() OVER (ORDER BY s) - 1 AS n FROM generate_series(0, %(length)s - 1) s
      WHERE %(case)s <> 'ingest' OR s < %(length)s / 3 OR s >= 2 * %(length)s / 3) x;
INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values)
SELECT to_timestamp(r.sent), to_timestamp(r.received), 1, r.sequence, store.batch_key(%(feed)s, p.number), 0, r.device, r.device, 150, 1, 0,
       ARRAY[random(), random()] FROM bench.said r JOIN bench.plan p ON p.second = floor(r.received - %(t0)s)::integer;
INSERT INTO store.connectivity (device, boot, connection, state, received, time, batch, retained, reason)
SELECT %(base)s + d, 1, c, 1, to_timestamp(at), to_timestamp(at), store.batch_key(%(feed)s, p.number), false, 'birth'
FROM (SELECT d, 1 AS c, %(t0)s + (d * 7919 %% 60000) / 1000.0 * 0.5 AS at FROM generate_series(0, %(devices)s - 1) d
      UNION ALL SELECT d, 2, %(back)s + 2 + (d * 104729::bigint %% (%(return)s * 1000)) / 1000.0 FROM generate_series(%(die)s, %(devices)s - 1) d
      WHERE %(case)s = 'broker') x JOIN bench.plan p ON p.second = floor(at - %(t0)s)::integer;
ALTER TABLE bench.plan ADD rows integer, ADD connectivity integer, ADD records bigint;
UPDATE bench.plan p SET rows = coalesce((SELECT count(*) FROM store.report r WHERE r.batch = store.batch_key(%(feed)s, p.number)), 0),
  connectivity = coalesce((SELECT count(*) FROM store.connectivity r WHERE r.batch = store.batch_key(%(feed)s, p.number)), 0);
UPDATE bench.plan p SET records = x.sum FROM (SELECT number, sum(rows + connectivity) OVER (ORDER BY number) AS sum FROM bench.plan) x
WHERE x.number = p.number;
ANALYZE store.report; ANALYZE store.connectivity;
"""
PLAY = """INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since, committed_at, reports, rows, connectivity)
          SELECT %s, number, records - rows - connectivity, records, records, to_timestamp(received_to), to_timestamp(seeing_since),
                 to_timestamp(committed_at), rows, rows, connectivity FROM bench.plan
          WHERE committed_at <= %s AND number > %s ORDER BY number"""


@dataclass(frozen=True)
class Case:
    """One outage: what is away, and when (Unix seconds)."""

    away: str
    t0: float
    base: int
    feed: int
    devices: int

    @property
    def began(self) -> float:
        """When it goes away."""
        return self.t0 + BEFORE_S

    @property
    def back(self) -> float:
        """When it is back."""
        return self.began + AWAY_S

    @property
    def end(self) -> float:
        """When nothing more is played."""
        return self.back + AFTER_S

    @property
    def reason(self) -> str:
        """As the store's intervals say it."""
        return "ingest" if self.away == "backlog" else self.away


class Clock:
    """What the worker takes for the time."""

    def __init__(self, path: Path, at: float) -> None:
        path.write_bytes(bytes(8))
        path.chmod(0o644)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)
        self.show(at)

    def show(self, at: float) -> None:
        """Unix seconds."""
        self.at = at
        self._map[:] = round(at * 1e6).to_bytes(8, "little")


def blindness(lab: Lab) -> dict[str, float]:
    """All three, one after the other, each with a store that knows of nothing."""
    figures: dict[str, float] = {"blind devices": float(lab.scale.blind_devices)}
    lab.stack.overrides = {"analysis": {"poll_ms": 10}}
    lab.stack.write_config()
    for away in CASES:
        figures |= {f"{away} {name}": value for name, value in _one(lab, away).items()}
    lab.stack.overrides = {}
    _empty(lab)
    return figures


def _empty(lab: Lab) -> None:
    lab.sql("TRUNCATE " + ", ".join(f"store.{table}" for table in TABLES))
    lab.sql("DELETE FROM store.device WHERE credential LIKE 'blind-%%'", {})


def _prepare(lab: Lab, away: str) -> Case:
    _empty(lab)
    devices = lab.scale.blind_devices
    t0 = float(round(time.time()) - BEFORE_S - AWAY_S - AFTER_S)
    lab.sql("SET ROLE vedette_admin; SELECT store.make_partition('report', 'day', now() - n * interval '1 day') FROM generate_series(0, 1) n")
    lab.sql("INSERT INTO store.model (name, cadence) VALUES ('blind', make_interval(secs => %s)) ON CONFLICT DO NOTHING", CADENCE_S)
    ((base,),) = lab.sql("SELECT coalesce(max(id), 0) + 1 FROM store.device")
    lab.sql("INSERT INTO store.device (id, credential, model, created_at) OVERRIDING SYSTEM VALUE SELECT %s + n, 'blind-' || n, m.id, to_timestamp(%s)"
            " FROM generate_series(0, %s - 1) n JOIN store.model m ON m.name = 'blind'", base, t0 - 86400, devices)
    ((feed,),) = lab.sql("INSERT INTO store.feed (journal, worker) VALUES (gen_random_uuid(), 'blind') RETURNING id")
    case = Case(away, t0, int(base), int(feed), devices)
    lab.sql(PLAN, {"t0": case.t0, "away": case.began, "back": case.back, "length": BEFORE_S + AWAY_S + AFTER_S, "cadence": CADENCE_S, "case": case.reason,
                   "devices": devices, "die": DIE, "base": case.base, "feed": case.feed, "drained": DRAINED.get(away, 1.0) * devices / CADENCE_S, "return": RETURN_S, "catches_up": CATCHES_UP})
    return case


class Play:
    """The worker, and the hour that it is shown."""

    def __init__(self, lab: Lab, case: Case) -> None:
        self._lab, self._case = lab, case
        self._clock = Clock(lab.folder / "clock", case.t0)
        preload = lab.program("libbench_shown_clock.so")
        self.worker: Process = lab.process("vedette-analysis", ["/usr/bin/env", f"LD_PRELOAD={preload}", f"BENCH_CLOCK={lab.folder / 'clock'}",
                                                                lab.stack.programs.path("vedette-analysis"), "--config", lab.stack.config])
        self._given = 0
        self._connect()

    def _connect(self) -> None:
        self._cursor = self._lab.stack.postgres.connect("postgres").cursor()

    def _ask(self, statement: str, *values: Any) -> Any:
        self._cursor.execute(statement, values)
        return self._cursor.fetchone()[0]

    def _commit(self) -> None:
        """Batches whose moment has come; then until they are analysed."""
        self._cursor.execute(PLAY, (self._case.feed, self._clock.at, self._given))
        self._given = self._ask("SELECT coalesce(max(number), 0) FROM store.batch WHERE feed = %s", self._case.feed)

        def analysed() -> bool:
            return not self.worker.alive() or self._ask("SELECT coalesce(max(number), 0) FROM store.analysed_batch WHERE feed = %s", self._case.feed) >= self._given

        if not wait_until(analysed, LONGEST_S, step=0.005) or not self.worker.alive():
            raise StackError("vedette-analysis does not keep up: " + self.worker.failure())

    def on(self, until: float) -> None:
        """Event time goes on, in steps."""
        while self._clock.at < until:
            self._clock.show(min(self._clock.at + STEP_S, until))
            self._commit()
            time.sleep(0.02)  # an idle worker looks at the clock

    def without_store(self, until: float) -> None:
        """Likewise, with the database stopped."""
        self._lab.stack.postgres.stop()
        while self._clock.at < until:
            self._clock.show(min(self._clock.at + STEP_S, until))
            time.sleep(0.005)
        self._lab.stack.postgres.start()
        self._connect()

    def end(self) -> None:
        """Ends the worker."""
        self.worker.stop(grace=15)
        self._cursor.connection.close()


def _one(lab: Lab, away: str) -> dict[str, float]:
    case = _prepare(lab, away)
    begun = time.monotonic()
    play = Play(lab, case)
    play.on(case.began)
    (play.without_store if away == "store" else play.on)(case.back)
    play.on(case.end)
    play.end()
    return _found(lab, case) | {"seconds": time.monotonic() - begun}


def _found(lab: Lab, case: Case) -> dict[str, float]:
    """What the worker said of it."""
    ((blind, other),) = lab.sql("SELECT count(*) FILTER (WHERE device = 0 AND kind = 'blind'), count(*) FILTER (WHERE device <> 0 OR kind NOT IN ('blind', 'reconnect storm'))"
                               " FROM store.alert")  # after the broker was away all devices come back: that is a storm, and told as one
    ((rows, closed, named, seconds),) = lab.sql(
        "SELECT count(*), count(ended), count(*) FILTER (WHERE reason = %s), coalesce(extract(epoch FROM sum(ended - began)), 0) FROM store.blind_interval", case.reason)
    ((false,),) = lab.sql("SELECT count(*) FROM store.connectivity_change WHERE state IN ('silent', 'link lost') AND device >= %s", case.base + DIE)
    ((found, latest),) = lab.sql(
        "SELECT count(DISTINCT device), extract(epoch FROM max(at)) FROM store.connectivity_change WHERE state = 'silent' AND device >= %s AND device < %s",
        case.base, case.base + DIE)
    ((changes,),) = lab.sql("SELECT count(*) FROM store.connectivity_change WHERE at > to_timestamp(%s)", case.began)
    ((caught_up,),) = lab.sql("SELECT coalesce(max(received), %s) FROM bench.said WHERE received - sent > 30 AND received > %s", case.back, case.back)
    late = max(0.0, float(latest) - float(caught_up)) / CADENCE_S if latest else float("inf")
    return {"blind alerts": float(blind), "other alerts": float(other), "intervals": float(rows), "closed": float(closed), "named": float(named),
            "blind_s": float(seconds), "false": float(false), "found": float(found), "cadences": late, "drain_s": float(caught_up) - case.back, "changes": float(changes)}
