"""What has to add up in the store at any time, whatever was killed: asked of the tables, not of the programs' own counters."""

from __future__ import annotations

import urllib.request
from typing import Any

import psycopg2
from deploy.local.processes import wait_until
from support import Installation

ADMIN = "vedette_admin"
END_S = 90.0  # far above what catching up takes here

# Each statement gives the rows that are wrong. A batch begins where the one before it ended, and its counts cover its records.
WRONG = {
    "batches that do not follow the one before": """
        SELECT * FROM (SELECT feed, number, first_record, lag(number) OVER w AS before, lag(next_record) OVER w AS ended
                       FROM store.batch WINDOW w AS (PARTITION BY feed ORDER BY number)) b
        WHERE number <> coalesce(before, 0) + 1 OR first_record <> coalesce(ended, 0)""",
    "feeds whose counts and losses do not add up to their records": """
        SELECT feed, records, counted FROM (
          SELECT feed, max(next_record) AS records,
                 sum(CASE kind WHEN 'data' THEN reports + connectivity + duplicates + rejected + shed
                               ELSE next_record - first_record END) AS counted FROM store.batch GROUP BY feed) f
        WHERE records <> counted""",
    "reports that are stored twice": """
        SELECT publisher, boot, sequence, count(*) FROM store.report WHERE size > 0
        GROUP BY publisher, boot, sequence HAVING count(*) > 1""",
    "batches that do not have their rows": """
        SELECT b.feed, b.number, b.rows, r.rows, b.reports, r.reports, b.rejected, l.letters, b.connectivity, c.messages
        FROM store.batch b
        LEFT JOIN (SELECT batch, count(*) AS rows, count(*) FILTER (WHERE size > 0) AS reports FROM store.report GROUP BY batch) r
          ON r.batch = store.batch_key(b.feed, b.number)
        LEFT JOIN (SELECT batch, count(*) AS letters FROM store.dead_letter GROUP BY batch) l
          ON l.batch = store.batch_key(b.feed, b.number)
        LEFT JOIN (SELECT batch, count(*) AS messages FROM store.connectivity GROUP BY batch) c
          ON c.batch = store.batch_key(b.feed, b.number)
        WHERE b.rows <> coalesce(r.rows, 0) OR b.reports <> coalesce(r.reports, 0) OR b.rejected <> coalesce(l.letters, 0)
           OR b.connectivity <> coalesce(c.messages, 0)""",
    "reports of no batch": """
        SELECT DISTINCT r.batch FROM store.report r WHERE NOT EXISTS (
          SELECT FROM store.batch b WHERE store.batch_key(b.feed, b.number) = r.batch)""",
    "batches that are not analysed, or twice, or with other rows": """
        SELECT b.feed, b.number, b.rows, count(a.step), min(a.rows) FROM store.batch b
        LEFT JOIN store.analysed_batch a ON a.feed = b.feed AND a.number = b.number
        GROUP BY b.feed, b.number, b.rows HAVING count(a.step) <> 1 OR min(a.rows) <> b.rows""",
    "batches that were analysed and do not exist": """
        SELECT feed, number FROM store.analysed_batch EXCEPT SELECT feed, number FROM store.batch""",
    "steps of analysis that do not follow the one before": """
        SELECT * FROM (SELECT lane, step, lag(step) OVER (PARTITION BY lane ORDER BY step) AS before FROM store.analysed_batch) s
        WHERE step <> coalesce(before, 0) + 1""",
    "batches of a feed that were analysed out of their order": """
        SELECT * FROM (SELECT lane, feed, step, number, lag(number) OVER (PARTITION BY lane, feed ORDER BY step) AS before
                       FROM store.analysed_batch) s WHERE number <> coalesce(before, 0) + 1""",
}


def ask(installation: Installation, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of the tables; none while the database is away."""
    try:
        return installation.query(statement, *values, role=ADMIN)
    except psycopg2.Error:
        installation.forget_sessions()
        return []


def wait_rows(installation: Installation, statement: str, *values: Any, expect: list[tuple[Any, ...]],
              deadline: float = END_S) -> None:
    """Waits until a statement gives these rows, also over times in which the database is away."""
    assert wait_until(lambda: ask(installation, statement, *values) == expect, deadline, step=0.1), (
        f"{statement} {values} gave {ask(installation, statement, *values)} after {deadline} s, not {expect}")


def wait_analysed(installation: Installation) -> None:
    """Waits until analysis has taken every batch that is committed now."""
    for feed, number in ask(installation, "SELECT feed, max(number) FROM store.batch GROUP BY feed"):
        wait_rows(installation, "SELECT count(*) FROM store.analysed_batch WHERE feed = %s AND number <= %s", feed, number,
                  expect=[(number,)])


def finish(installation: Installation, *workers: str) -> None:
    """Stops the ingest workers, which commit what they have, then analysis when it has seen it all. Nobody may complain."""
    for name in workers or ("vedette-ingest",):
        stop_cleanly(installation, name)
    wait_analysed(installation)
    stop_cleanly(installation, "vedette-analysis")


def stop_cleanly(installation: Installation, name: str) -> None:
    """Stops a daemon as an operator does; it has to end by itself, with 0 (sanitizers speak up here)."""
    process = installation.stack.processes[name]
    assert process.alive(), process.failure()
    assert process.stop(grace=20) == 0, process.failure()


def check(installation: Installation) -> None:
    """Asserts all that has to add up, once nothing is under way."""
    for what, statement in WRONG.items():
        wrong = installation.query(statement, role=ADMIN)
        assert not wrong, f"{what}: {wrong[:10]}"


def metric(port: int, name: str) -> float:
    """A metric of a daemon."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + " "))


def stored(installation: Installation) -> dict[str, set[int]]:
    """Which sequences are stored of each publisher (tests here use one boot)."""
    rows = installation.query("SELECT d.credential, array_agg(r.sequence) FROM store.report r"
                              " JOIN store.device d ON d.id = r.publisher GROUP BY d.credential", role=ADMIN)
    return {credential: set(sequences) for credential, sequences in rows}


def gaps(installation: Installation) -> dict[str, set[int]]:
    """Which sequences each device misses, by the view for people."""
    missing: dict[str, set[int]] = {}
    for credential, after, before, count in installation.query(
            "SELECT credential, after_sequence, before_sequence, missing FROM vedette.sequence_gap"):
        assert count == before - after - 1
        missing.setdefault(credential, set()).update(range(after + 1, before))
    return missing
