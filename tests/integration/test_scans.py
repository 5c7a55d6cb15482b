"""Nobody reads more than they ask for: dashboards by their plans, commands and functions by what the server counted."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from support import Installation
from test_dashboards import METRIC, expand, panels
from test_retention import ADMIN, KEEPER

DAYS, DEVICES = 12, 20
FEW = 2000  # rows that anybody may look at
HOURS = 6   # of a panel, up to now
# What grows with time, and what else would be large.
FILL = """
INSERT INTO store.metric (name) VALUES (%(metric)s);
INSERT INTO store.metric_set SELECT d.id, 1, ARRAY[m.id] FROM store.device d, store.metric m;
SELECT store.make_partition('report', 'day', now() - n * interval '1 day') FROM generate_series(0, %(days)s) n;
SELECT store.make_partition('five', 'day', now() - n * interval '1 day') FROM generate_series(0, %(days)s) n;
INSERT INTO store.feed (journal, worker) VALUES (gen_random_uuid(), 'ingest-1');
INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since, committed_at, reports, rows, rejected, days)
SELECT f.id, n, (n - 1) * 2 * %(devices)s, n * 2 * %(devices)s, n * 2 * %(devices)s, at, at, at, %(devices)s, %(devices)s, %(devices)s, ARRAY[at::date]
FROM store.feed f, generate_series(1, %(batches)s) AS n CROSS JOIN LATERAL (SELECT now() - (%(batches)s - n) * interval '10 minutes' AS at) t;
INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values)
SELECT b.received_to, b.received_to, 1, b.number, store.batch_key(b.feed, b.number), 1, d.id, d.id, 50, 1, 0, ARRAY[sin(b.number)]
FROM store.batch b, store.device d;
INSERT INTO store.event SELECT time, received, boot, sequence, batch, device, publisher, 0, 1, 1, 0, '192.0.2.1', 'root' FROM store.report;
INSERT INTO store.connectivity_change SELECT device, sequence, 1, time, 'online', 'x' FROM store.report;
INSERT INTO store.firmware SELECT time, received, boot, sequence, batch, device, publisher, 1, '1.0', NULL, 0 FROM store.report;
INSERT INTO store.dead_letter (device, batch, record, received, reason, boot, sequence, size, topic, detail, payload)
SELECT device, batch, device, received, 1, boot, sequence, 1, 't', 'd', 'p' FROM store.report;
INSERT INTO store.alert (device, kind, key, state, severity, opened_at, changed_at, cleared_at, sentence, explanation)
SELECT device, 'silent', sequence::text, 'cleared', 'major', time, time, time, 's', '{}' FROM store.report;
INSERT INTO store.analysed_batch SELECT 0, number, feed, number, rows, committed_at FROM store.batch;
INSERT INTO store.checkpoint SELECT 0, max(number), 1, '[]' FROM store.batch;
INSERT INTO store.sequence (publisher, boot, begins, received, shed, kept_from, last_at)
SELECT device, boot, 1, range_agg(int8range(sequence, sequence, '[]')), '{}', 0, max(received) FROM store.report GROUP BY 1, 2;
INSERT INTO store.sequenced SELECT feed, max(number) FROM store.batch GROUP BY feed;
INSERT INTO store.minute (feed, minute, received, stored, duplicate, rejected, shed, letters)
SELECT feed, date_trunc('minute', received_to), 2 * sum(reports), sum(reports), 0, sum(reports), 0, sum(reports) FROM store.batch GROUP BY 1, 2;
INSERT INTO store.ledger SELECT device, date_trunc('minute', received), 1, 'rejected', 1, 1 FROM store.report ON CONFLICT DO NOTHING;
SELECT store.note_batches(array_agg(store.batch_key(feed, number))) FROM store.batch;
"""


@pytest.fixture
def full(stack: Installation) -> Installation:
    """Twelve days of twenty devices, rolled up; the planner knows."""
    stack.register("dash-1", *(f"d-{n}" for n in range(1, DEVICES)))
    with contextlib.closing(stack.stack.postgres.connect("vedette_admin")) as session, session.cursor() as cursor:
        # From a midnight on: a day with few rows would be read whole, rightly.
        today = dt.datetime.now(dt.UTC)
        cursor.execute(FILL, {"metric": METRIC, "days": DAYS, "devices": DEVICES, "batches": DAYS * 144 + (today.hour * 60 + today.minute) // 10})
    while stack.value("SELECT store.roll_up(2000)", role=KEEPER):
        pass
    with contextlib.closing(stack.stack.postgres.connect("postgres", "vedette")) as session, session.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return stack


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All of a plan that were run."""
    if plan.get("Actual Loops", 0):
        yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def is_old(table: str) -> bool:
    """Whether it is a partition that ends before the panel begins."""
    found = re.search(r"_(\d{4})(\d{2})(\d{2})$", table)
    if found is None:
        return False
    end = dt.datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=dt.UTC) + dt.timedelta(days=1)
    return end < dt.datetime.now(dt.UTC) - dt.timedelta(hours=HOURS)


def test_dashboards(full: Installation) -> None:
    """Each panel's plan runs on the partitions of its time only, and passes few rows by."""
    until = dt.datetime.now(dt.UTC)
    wrong = []
    for name, panel in panels():
        for target in panel["targets"]:
            sql = expand(target["rawSql"], until - dt.timedelta(hours=HOURS), until)
            plan = full.value(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", role="vedette_grafana")[0]["Plan"]
            for node in nodes(plan):
                passed = node.get("Rows Removed by Filter", 0) * node["Actual Loops"]
                if is_old(node.get("Relation Name", "")) or (node["Node Type"] == "Seq Scan" and passed > FEW):
                    wrong.append((name, node["Node Type"], node.get("Relation Name"), passed))
    assert not wrong, "\n".join(map(str, wrong))


def counted(stack: Installation) -> dict[str, tuple[int, int]]:
    """Of each table since the last reset: rows that were read one after another, and by an index."""
    with contextlib.closing(stack.stack.postgres.connect("postgres", "vedette")) as session, session.cursor() as cursor:
        cursor.execute("SELECT relname, seq_tup_read, coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE schemaname = 'store'")
        return {name: (passed, fetched) for name, passed, fetched in cursor.fetchall()}


def reset(stack: Installation) -> None:
    """Counts from here."""
    stack.forget_sessions()
    with contextlib.closing(stack.stack.postgres.connect("postgres", "vedette")) as session, session.cursor() as cursor:
        # A session writes its counts while it ends, which is after it was closed here.
        stack.wait(lambda: not rows(cursor, "SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"))
        cursor.execute("SELECT pg_stat_reset()")


def rows(cursor: Any, statement: str) -> list[Any]:
    """What a statement gives."""
    cursor.execute(statement)
    return list(cursor.fetchall())


def too_much(stack: Installation) -> list[tuple[str, int, int]]:
    """Tables that were read without need: days that nobody asked for, or one row after another."""
    return [(name, passed, fetched) for name, (passed, fetched) in counted(stack).items()
            if passed > FEW or fetched > 5 * FEW or (is_old(name) and passed + fetched > 0)]


# Not `ledger --check`, which looks for rows that nobody accounts for, wherever they are.
COMMANDS = (("status",), ("device", "list"), ("device", "show", "dash-1"), ("alert", "list"), ("alert", "list", "--state", "cleared", "--limit", "20"),
            ("deadletter", "list", "--since", "1h"), ("deadletter", "list", "--device", "dash-1", "--since", "1h"), ("ledger", "--since", "1h"),
            ("ledger", "--device", "dash-1", "--since", "1h"), ("worker", "list"), ("owner", "list"),
            ("retention", "list"), ("erasure", "list"), ("firmware", "list"))


def test_commands(full: Installation) -> None:
    """What an operator asks for every day does not grow with what is kept."""
    wrong = {}
    for words in COMMANDS:
        reset(full)
        full.stack.vedette("--json", *words)
        if found := too_much(full):
            wrong[words] = found
    assert not wrong, json.dumps({" ".join(words): found for words, found in wrong.items()}, indent=1)


def test_functions(full: Installation) -> None:
    """Series of hours and days, quantiles, the newest values, a device's samples of an hour."""
    now = dt.datetime.now(dt.UTC)
    asked = {
        "six hours": ("SELECT count(*) FROM vedette.series('dash-1', %s, %s, %s)", (METRIC, now - dt.timedelta(hours=6), now)),
        "an hour": ("SELECT count(*) FROM vedette.series('dash-1', %s, %s, %s)", (METRIC, now - dt.timedelta(hours=1), now)),
        "samples": ("SELECT count(*) FROM vedette.sample WHERE credential = 'dash-1' AND metric = %s AND time >= %s", (METRIC, now - dt.timedelta(hours=1))),
        "newest": ("SELECT count(*) FROM vedette.latest WHERE credential = 'dash-1'", ()),
        "quantiles": ("SELECT count(*) FROM vedette.quantiles('dash-1', %s, %s, %s, '{0.5}')", (METRIC, now - dt.timedelta(hours=5), now)),
    }
    wrong = {}
    for name, (sql, values) in asked.items():
        reset(full)
        assert full.value(sql, *values) > 0
        full.forget_sessions()
        if found := too_much(full):
            wrong[name] = found
    assert not wrong, json.dumps(wrong, indent=1)
