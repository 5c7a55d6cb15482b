"""What reports say beside their values, on the real stack: losses, clocks, batteries, and what is missing of an hour."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from support import Installation, now_us

ADMIN = "vedette_admin"
LIVE = "SELECT count(*)::int FROM vedette.alert WHERE credential = %s AND kind = %s AND state = 'open'"
SECOND = 1_000_000

# Four hours up to a while ago, as an ingest worker would have stored them: a report a minute, in batches of a minute. In the third hour the
# numbers 130 to 139 are missing, and for 20 minutes there is nothing.
HOURS = """
INSERT INTO store.feed (journal, worker) VALUES (gen_random_uuid(), 'ingest-9');
CREATE TEMPORARY TABLE made AS
SELECT n, date_trunc('hour', now()) - interval '5 hours' + n * interval '1 minute' AS at, n < 130 OR n BETWEEN 140 AND 149 OR n >= 170 AS sent
FROM generate_series(0, 249) AS n;
INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since, committed_at, reports, rows, rejected, days)
SELECT f.id, n + 1, n, n + sent::int, n + 1, at, (SELECT min(at) FROM made), at, sent::int, sent::int, 0, ARRAY[at::date] FROM made, store.feed f;
INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks)
SELECT at, at, 1, CASE WHEN n < 150 THEN n + 1 ELSE n - 19 END, store.batch_key(f.id, n + 1), 1, d.id, d.id, 50, 0, 0
FROM made, store.feed f, store.device d WHERE sent AND d.credential = 'dev-a';
"""


def explanation(stack: Installation, device: str, kind: str) -> dict[str, Any]:
    """Of the device's live alert, with its sentence and severity."""
    ((text, sentence, severity),) = stack.query(
        "SELECT explanation::text, sentence, severity FROM vedette.alert WHERE credential = %s AND kind = %s AND state = 'open'", device, kind)
    return {**json.loads(text), "sentence": sentence, "severity": severity}


def test_holes_in_the_numbering_are_a_partial_loss(stack: Installation) -> None:
    """Half of what a device numbered never comes: told half a minute later. One whose reports were only rejected lost none."""
    stack.register("dev-a", "dev-b")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    lossy, broken = stack.device("dev-a"), stack.device("dev-b")
    for sequence in (*range(1, 11), *range(61, 71)):
        lossy.send(stack.wire.report(sequence))
    for sequence in range(1, 71):
        samples = {"temperature": 1.0} if sequence <= 10 or sequence > 60 else {"NOT A NAME": 1.0}
        broken.send(stack.wire.report(sequence, samples))
    stack.wait_for(LIVE, "dev-a", "partial loss", expect=1, deadline=60)
    told = explanation(stack, "dev-a", "partial loss")
    assert told["observed"]["lost"] == 50 and told["observed"]["sent"] == 69
    assert told["severity"] == "warning" and "50 of them never came" in told["sentence"] and told["clears_when"]
    assert stack.value(LIVE, "dev-b", "partial loss") == 0


def test_a_clock_ahead_is_told_and_a_backlog_is_not(stack: Installation) -> None:
    """Three reports of the future are a bad clock; what a device had kept for two hours, and a device that never had a clock, are none."""
    stack.register("dev-a", "dev-b", "dev-c")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    ahead, late, none = (stack.device(name) for name in ("dev-a", "dev-b", "dev-c"))
    for sequence in range(1, 31):
        late.send(stack.wire.report(sequence, at=now_us() - (7200 - 240 * sequence) * SECOND))
        none.send(stack.wire.report(sequence, at=0))
    for sequence in range(1, 4):
        ahead.send(stack.wire.report(sequence, at=now_us() + 3600 * SECOND))
    stack.wait_for(LIVE, "dev-a", "clock", expect=1)
    told = explanation(stack, "dev-a", "clock")
    assert told["observed"]["clock"] == "ahead" and 3590 < told["observed"]["offset_s"] < 3601
    assert "s ahead" in told["sentence"] and told["reports"][0]["sequence"] == 3
    assert stack.query("SELECT credential FROM vedette.alert WHERE kind = 'clock'") == [("dev-a",)]


def test_an_empty_battery_is_told(stack: Installation) -> None:
    """The metric that the registry names for the model is looked at, wherever it stands in a report; no other model's is."""
    stack.register("dev-a", "dev-b")
    stack.register("dev-c", model="other")
    stack.stack.vedette("model", "set", "test-model", "--class", "battery", "--battery", "power/left")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    low, full, other = (stack.device(name) for name in ("dev-a", "dev-b", "dev-c"))
    full.send(stack.wire.report(1, {"power/left": 88.0, "a": 3.0}))
    other.send(stack.wire.report(1, {"power/left": 2.0}))
    low.send(stack.wire.report(1, {"a": 3.0, "b": "text"}))
    low.send(stack.wire.report(2, {"a": 3.0, "power/left": 7, "z": 100.0}))
    stack.wait_for(LIVE, "dev-a", "battery", expect=1)
    told = explanation(stack, "dev-a", "battery")
    assert told["severity"] == "major" and told["observed"]["level"] == 7 and told["reports"][0]["sequence"] == 2
    low.send(stack.wire.report(3, {"power/left": 100.0}))
    stack.wait_for(LIVE, "dev-a", "battery", expect=0)
    assert stack.query("SELECT credential FROM vedette.alert WHERE kind = 'battery'") == [("dev-a",)]


def test_a_critical_device_that_never_came_is_told(stack: Installation) -> None:
    """A week after it was registered; the others are only counted."""
    stack.register("dev-a", critical="yes")
    stack.register("dev-b")
    with contextlib.closing(stack.stack.postgres.connect(ADMIN)) as session, session.cursor() as cursor:
        cursor.execute("UPDATE store.device SET created_at = now() - interval '8 days'")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    stack.wait_for(LIVE, "dev-a", "never seen", expect=1)
    stack.device("dev-a").send(stack.wire.report(1))
    stack.wait_for(LIVE, "dev-a", "never seen", expect=0)
    assert stack.query("SELECT credential FROM vedette.alert WHERE kind = 'never seen'") == [("dev-a",)]


def test_what_is_missing_of_an_hour_is_stored(stack: Installation) -> None:
    """By what kept it, once, also when analysis begins anew."""
    stack.register("dev-a")
    with contextlib.closing(stack.stack.postgres.connect(ADMIN)) as session, session.cursor() as cursor:
        cursor.execute(HOURS)
    found = "SELECT count(*)::int FROM vedette.completeness WHERE credential = 'dev-a'"
    rows = "SELECT extract(epoch FROM hour)::bigint %% 3600, reason, missing, expected, received FROM vedette.completeness ORDER BY reason"
    stack.stack.start_analysis()
    stack.wait_for(found, expect=2)
    assert stack.query(rows) == [(0, "device", 20, 60, 30), (0, "network", 10, 60, 30)]
    stack.kill9("vedette-analysis")
    with contextlib.closing(stack.stack.postgres.connect(ADMIN)) as session, session.cursor() as cursor:
        cursor.execute("UPDATE store.completeness SET missing = 1; DELETE FROM store.analysed_batch; DELETE FROM store.connectivity_change;"
                       "DELETE FROM store.checkpoint; DELETE FROM store.detector_state; DELETE FROM store.series_state")
    stack.stack.start_analysis()
    stack.wait_for("SELECT sum(missing)::int FROM vedette.completeness", expect=30)
