"""Rollups: what they say is what the reports say, however late, often and in whatever order those came."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections import defaultdict
from typing import Any

import pytest
from support import Installation, now_us
from test_compression import PACK_SOON, raw_rows, wait_packed, wait_settled
from test_retention import ADMIN, KEEPER

HOUR_US = 3_600_000_000
FIVE_US = 300_000_000
DAY_US = 24 * HOUR_US
Stats = dict[tuple[str, str, int], list[tuple[int, int, float]]]  # credential, metric, hour → time, sequence, value


def expected(samples: Stats) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Rollups by another way: Python, exact sums."""
    made = {}
    for key, rows in samples.items():
        values = [value for _, _, value in rows]
        made[key] = {"count": len(rows), "min": min(values), "max": max(values), "last": max(rows)[2], "sum": math.fsum(values),
                     "squares": math.fsum(value * value for value in values), "values": sorted(values)}
    return made


def compare_fives(stack: Installation, samples: Stats) -> None:
    """The parts of five minutes of what is rolled up: extremes exactly, means to 1e-12."""
    wanted = defaultdict(list)
    for (credential, metric, _), rows in samples.items():
        for at, _, value in rows:
            wanted[credential, metric, at // FIVE_US * FIVE_US].append(value)
    rows = stack.query("""SELECT d.credential, m.name, extract(epoch FROM f.time)::bigint * 1000000 + u.slot * 300000000::bigint, u.mean, u.min, u.max
                          FROM store.five f JOIN store.device d ON d.id = f.device JOIN store.metric m ON m.id = f.metric
                          CROSS JOIN LATERAL unnest(f.slots, f.mean, f.min, f.max) AS u(slot, mean, min, max)""", role=ADMIN)
    rolled = {row[:3]: row[3:] for row in rows}
    assert len(rolled) == len(rows) and rolled.keys() <= wanted.keys()
    assert not rolled or rolled.keys() == wanted.keys()
    for key, (mean, low, high) in rolled.items():
        values = wanted[key]
        assert (low, high) == (min(values), max(values)), key
        assert math.isclose(mean, math.fsum(values) / len(values), rel_tol=1e-12, abs_tol=1e-12 * math.fsum(map(abs, values))), key


def compare(stack: Installation, samples: Stats) -> None:
    """Count, extremes and last exactly, sums to 1e-12, quantiles within 1 %."""
    rows = stack.query("SELECT credential, metric, extract(epoch FROM time)::bigint * 1000000, count, min, max, last, sum, squares FROM vedette.hour")
    found = {row[:3]: row[3:] for row in rows}
    wanted = expected(samples)
    assert len(rows) == len(found) and found.keys() == wanted.keys()
    for key, (count, low, high, last, total, squares) in found.items():
        want = wanted[key]
        assert (count, low, high, last) == (want["count"], want["min"], want["max"], want["last"]), key
        assert math.isclose(total, want["sum"], rel_tol=1e-12, abs_tol=1e-12 * math.fsum(map(abs, want["values"]))), key
        assert math.isclose(squares, want["squares"], rel_tol=1e-12), key
    compare_fives(stack, samples)
    for credential, metric in {key[:2] for key in wanted}:
        values = sorted(value for key, want in wanted.items() if key[:2] == (credential, metric) for value in want["values"])
        for fraction, value in stack.query("SELECT * FROM vedette.quantiles(%s, %s, '-infinity', 'infinity', %s)", credential, metric,
                                           [0.0, 0.01, 0.5, 0.9, 0.99, 1.0]):
            exact = values[math.floor(fraction * (len(values) - 1))]
            assert math.isclose(value, exact, rel_tol=0.0101, abs_tol=1e-300), (credential, metric, fraction)


def messages(stack: Installation, rnd: random.Random, day_us: int, samples: Stats) -> list[tuple[str, Any]]:
    """Reports of two devices over five hours, two metrics of which one is missing sometimes."""
    made = []
    for credential in ("r-1", "r-2"):
        for sequence in range(1, 301):
            at = day_us + sequence * 59_000_000 + rnd.randrange(1_000_000)
            report = {"a": rnd.choice((0.1 * sequence, -rnd.random() * 1e6, 0.0, 1e-5)), **({"b": rnd.gauss(0, 1)} if sequence % 3 else {})}
            for metric, value in report.items():
                samples[credential, metric, at // HOUR_US * HOUR_US].append((at, sequence, value))
            made.append((credential, stack.wire.report(sequence, report, at=at, historical=True)))
    return made


def settle(stack: Installation, reports: int) -> None:
    """Until so many are stored and analysed, then all rollups of hours that are over are made."""
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=reports)
    stack.wait(lambda: stack.value("SELECT coalesce(bool_and(analysed >= batches), false) FROM vedette.worker"))
    while stack.value("SELECT store.roll_up(100)", role=KEEPER) > 0:
        pass
    assert stack.value("SELECT count(*)::int FROM store.stale WHERE hour < now() - interval '70 minutes'", role=ADMIN) == 0


@pytest.mark.parametrize("seed", (1, 2))
def test_shuffled_repeated_and_late(stack: Installation, seed: int) -> None:
    """A replay in no order, with repeats, half of it after the first rollups were made, some into a compressed day."""
    rnd = random.Random(seed)
    samples: Stats = defaultdict(list)
    stack.stack.overrides = PACK_SOON
    stack.stack.write_config()
    stack.register("r-1", "r-2")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    sent = messages(stack, rnd, now_us() // DAY_US * DAY_US - 3 * DAY_US, samples)
    rnd.shuffle(sent)
    devices = {name: stack.device(name) for name in ("r-1", "r-2")}
    for credential, message in sent[:400]:
        devices[credential].send_nowait(message)
        if rnd.random() < 0.2:
            devices[credential].send_nowait(message)
    settle(stack, 400)
    wait_settled(stack)
    stack.stack.start_keeper()
    wait_packed(stack, 1)
    stack.wait(lambda: raw_rows(stack) == 0)
    for credential, message in sent[200:]:
        devices[credential].send_nowait(message)
    settle(stack, 600)
    compare(stack, samples)
    assert raw_rows(stack) == 200


def test_the_hour_that_is_not_over(stack: Installation) -> None:
    """Is made from the reports at once, and the newest values are there."""
    stack.register("r-1")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    samples: Stats = defaultdict(list)
    device = stack.device("r-1")
    for sequence in range(1, 21):
        at = now_us()
        samples["r-1", "m", at // HOUR_US * HOUR_US].append((at, sequence, sequence * 1.5))
        device.send(stack.wire.report(sequence, {"m": sequence * 1.5, "mode": "x"}, at=at))
    device.send(stack.wire.report(21, {"m": 9e9}, at=now_us() + 2 * HOUR_US))  # its clock is ahead
    settle(stack, 21)
    compare(stack, samples)
    assert stack.query("SELECT metric, value, text FROM vedette.latest ORDER BY metric") == [("m", 30.0, None), ("mode", None, "x")]


def test_series(stack: Installation) -> None:
    """As many points as asked, extremes kept, whichever resolution it takes; nothing for what is not there."""
    stack.register("r-1")
    stack.query("""INSERT INTO store.metric (name) VALUES ('m'); INSERT INTO store.metric_set VALUES (1, 1, '{1}');
                   SELECT store.make_partition('report', 'day', now() - n * interval '1 day') FROM generate_series(1, 20) n""", role=ADMIN)
    end = dt.datetime.now(dt.UTC)
    stack.query("""INSERT INTO store.report SELECT t, t, 1, row_number() OVER (), (1::bigint << 40) + 1, 1, 1, 10, 1, 0, 1, '',
                   ARRAY[CASE WHEN t = %s - interval '7 days' THEN 1e6 ELSE sin(extract(epoch FROM t) / 10000) END]
                   FROM generate_series(%s - interval '20 days', %s, interval '10 minutes') t; SELECT 1""", end, end, end, role=ADMIN)
    stack.query("SELECT store.note_batches(ARRAY[(1::bigint << 40) + 1])", role="vedette_analysis")
    ask = "SELECT time, value, min, max FROM vedette.series('r-1', 'm', %s, %s, %s)"
    kinds = ((1, 500), (1, 250), (1, 50), (7, 500), (20, 500), (20, 100), (20, 10), (20, 1), (20, 5000), (12, 1000))
    before = {}
    for rolled in (False, True):
        while rolled and stack.value("SELECT store.roll_up(100)", role=KEEPER) > 0:
            pass
        for days, points in kinds:
            rows = stack.query(ask, end - dt.timedelta(days=days), end, points)
            assert before.setdefault((days, points), rows) == rows
            assert 0 < len(rows) <= points + 1 and [row[0] for row in rows] == sorted(row[0] for row in rows)
            assert all(low <= value <= high for _, value, low, high in rows)
            peak = max(high for _, _, _, high in rows)
            assert peak == 1e6 if days > 7 else peak <= 1
    assert len(before[12, 1000]) <= 12 * 24 + 1  # of then there are no five minutes any more: hours do, where points are not much narrower
    assert stack.query(ask.replace("'m'", "'n'"), end - dt.timedelta(days=1), end, 10) == []
    assert stack.query(ask, end, end - dt.timedelta(days=1), 10) == []
    assert stack.query("SELECT * FROM vedette.series('nobody', 'm', %s, %s)", end - dt.timedelta(days=1), end) == []
