"""What the live status shows, read from the views of the store (as vedette_console) and from the simulator's files."""

from __future__ import annotations

import datetime
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from .stack import Stack
from .truth import TruthReader

RATE_OVER_S = 10.0
SIMULATOR_TROUBLES = {"skipped": "left out", "forgotten": "forgotten", "connections_lost": "connections lost",
                      "connects_failed": "connects failed"}


@dataclass(frozen=True)
class Alert:
    """One open alert."""

    number: int
    opened: datetime.datetime
    severity: str
    kind: str
    credential: str
    sentence: str


@dataclass
class Snapshot:
    """The state at one moment. `complete` is false while the database cannot be read; then the last numbers stay."""

    complete: bool = False
    connectivity: dict[str, int] = field(default_factory=dict)
    rate: float = 0.0
    stored: int = 0
    pending: int = 0
    rejected: int = 0
    duplicates: int = 0
    alerts: list[Alert] = field(default_factory=list)
    alerts_open: int = 0
    open_numbers: set[int] = field(default_factory=set)
    simulator: str = ""
    faults: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


class Observer:
    """Keeps one session to the database and reads only what is new of what only grows."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._session: Any = None
        self._counted: dict[int, int] = {}  # feed → the newest batch that is in the totals
        self._stored_at: deque[tuple[float, int]] = deque()
        self._truth = TruthReader(stack.truth)
        self._last = Snapshot()

    def look(self) -> Snapshot:
        """A new snapshot; never fails."""
        now = self._last
        now.troubles = []
        try:
            self._read_store(now)
            now.complete = True
        except psycopg2.Error as error:
            now.complete = False
            self.close()
            now.troubles.append(f"the database cannot be read: {str(error).strip().splitlines()[0]}")
        now.simulator = self._read_simulator()
        now.faults = self._truth.active()
        return now

    def close(self) -> None:
        """Ends the session."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        if self._session is None:
            self._session = self._stack.postgres.connect("vedette_console")
        with self._session.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def _read_store(self, now: Snapshot) -> None:
        states = self._rows("SELECT connectivity, count(*) FROM vedette.device GROUP BY 1")
        now.connectivity = {state: count for state, count in states}
        now.pending = 0
        for feed, newest, pending in self._rows("SELECT feed, batches, pending FROM vedette.worker WHERE retired_at IS NULL"):
            now.pending += pending or 0
            self._count_batches(now, feed, newest or 0)
        self._rate(now)
        now.open_numbers = {number for (number,) in self._rows("SELECT alert FROM vedette.alert_open")}
        now.alerts_open = len(now.open_numbers)
        now.alerts = [Alert(*row) for row in self._rows(
            "SELECT alert, opened_at, severity, kind, credential, sentence FROM vedette.alert_open ORDER BY alert DESC LIMIT 50")]

    def _count_batches(self, now: Snapshot, feed: int, newest: int) -> None:
        """Adds the batches since the last look to the totals."""
        ((stored, rejected, duplicates),) = self._rows(
            "SELECT coalesce(sum(reports), 0)::bigint, coalesce(sum(rejected), 0)::bigint, coalesce(sum(duplicates), 0)::bigint "
            "FROM vedette.batch WHERE feed = %s AND number > %s AND number <= %s", feed, self._counted.get(feed, 0), newest)
        now.stored += stored
        now.rejected += rejected
        now.duplicates += duplicates
        self._counted[feed] = newest

    def _rate(self, now: Snapshot) -> None:
        at = time.monotonic()
        self._stored_at.append((at, now.stored))
        while len(self._stored_at) > 1 and self._stored_at[0][0] < at - RATE_OVER_S:
            self._stored_at.popleft()
        since, stored = self._stored_at[0]
        now.rate = (now.stored - stored) / (at - since) if at > since else 0.0

    def _read_simulator(self) -> str:
        """The simulator's counters in words; troubles only where there are any."""
        try:
            status = json.loads(self._stack.sim_status.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        if not status["devices"]:
            return "starting"
        parts = [f"{status['connected']:,} of {status['devices']:,} devices connected",
                 f"{status['published']:,} reports published", f"{status['acknowledged']:,} acknowledged"]
        parts += [f"{status[key]:,} {words}" for key, words in SIMULATOR_TROUBLES.items() if status[key]]
        return ", ".join(parts)
