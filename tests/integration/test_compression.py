"""Compression: what is read is the same before and after, late reports find their place, and whoever dies loses nothing."""

from __future__ import annotations

import datetime as dt
import random
import struct
from collections.abc import Iterator
from typing import Any

from psycopg2.extras import execute_values
from support import Installation, now_us
from test_retention import ADMIN, KEEPER, ago
from test_metrics import scrape

EDGES = [0.0, -0.0, 1.0, -1.0, 0.1, 1e15, 2.0**53, 2.0**53 + 2, 1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -5e-324,
         2.2250738585072014e-308, 2.225073858507201e-308, 3.141592653589793, 1 / 3, 123456.789, 1e-15, 2.5e-16, -273.15]
PACK_SOON = {"keeper": {"compress_after_h": 1, "share": 1}, "analysis": {"checkpoint_s": 1}}
DAY_US = 86_400_000_000


def configure(stack: Installation) -> None:
    """Compression of days that are over for an hour."""
    stack.stack.overrides = PACK_SOON
    stack.stack.write_config()


def reports(seed: int, count: int, first: dt.datetime) -> Iterator[tuple[Any, ...]]:
    """Rows of store.report: two sets, a gateway, texts, numbers of all kinds; a few a minute over two days."""
    rnd = random.Random(seed)
    for n in range(count):
        device = 1 + n % 3
        metrics = 1 + (n // 7) % 2 * 4
        time = first + dt.timedelta(seconds=n * 172800 / count, microseconds=rnd.choice((0, 0, rnd.randrange(1_000_000))))
        values: list[float | None] = [
            rnd.choice((20 + n % 50 / 10, rnd.random(), EDGES[n % len(EDGES)], float(n), None)) if device == 2 else round(20 + rnd.random(), 2)
            for _ in range(metrics)]
        texts = [rnd.choice((None, "kühl", 'a "b" {c}, \\', "")) for _ in range(metrics)] if n % 11 == 0 else None
        yield (time, time + dt.timedelta(milliseconds=rnd.randrange(20, 400)), rnd.choice((1, 1, -(2**63))), n, (1 << 40) + n // 100,
               rnd.randrange(-(2**15), 2**15), device, 3 if n % 5 == 0 else device, rnd.randrange(40, 300), 1 if metrics == 1 else 2,
               rnd.choice((0, 0, 1)), values, texts)
    yield (first, first, 7, 1, 1 << 40, 5, 1, 1, 10, 0, 0, None, None)  # no samples


def fill(stack: Installation, seed: int, count: int, first: dt.datetime) -> None:
    """Three devices with reports of the two days from `first` on."""
    stack.register("d-1", "d-2", "d-3")
    stack.query("""INSERT INTO store.metric (name) SELECT 'm' || n FROM generate_series(1, 5) n;
                   INSERT INTO store.metric_set SELECT d, 1, '{1}' FROM generate_series(1, 3) d;
                   INSERT INTO store.metric_set SELECT d, 2, '{1,2,3,4,5}' FROM generate_series(1, 3) d;
                   SELECT store.housekeep()""", role=ADMIN)
    insert(stack, reports(seed, count, first))
    stack.query("ANALYZE store.report; SELECT 1", role=ADMIN)


def insert(stack: Installation, rows: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> None:
    """As ingest does, in one transaction."""
    session = stack.stack.postgres.connect("vedette_ingest")
    try:
        with session.cursor() as cursor:
            execute_values(cursor, """INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set,
                                      marks, values, texts) VALUES %s""", rows, page_size=10000,
                           template="(" + "%s, " * 11 + "%s::double precision[], coalesce(%s::text[]::text, ''))")
    finally:
        session.close()


def everything(stack: Installation) -> tuple[list[Any], list[Any]]:
    """All reports and samples that people see, to the bit; times of receipt to the millisecond, as compression keeps them."""
    return (stack.query("SELECT time, date_trunc('milliseconds', received), device, credential, publisher, boot, sequence, size, batch, historical, clock FROM vedette.report ORDER BY device, time, publisher, boot, sequence"),
            stack.query("""SELECT time, date_trunc('milliseconds', received), device, publisher, boot, sequence, metric, encode(float8send(value), 'hex'), text
                           FROM vedette.sample ORDER BY device, time, publisher, boot, sequence, metric"""))


def start_of_day(days_ago: int) -> dt.datetime:
    """Midnight UTC so many days ago."""
    return ago(days_ago).replace(hour=0, minute=0, second=0, microsecond=0)


def wait_packed(stack: Installation, days: int) -> None:
    """Until so many days are compressed and nothing of them is left as it came."""
    stack.wait_for("SELECT count(*)::int FROM vedette.compression WHERE state = 'packed'", expect=days, deadline=60)


def wait_settled(stack: Installation) -> None:
    """Until there is a day to compress whose batches nobody needs any more."""
    stack.wait(lambda: stack.value("SELECT day IS NOT NULL FROM store.next_packing('1 hour', 500)", role=KEEPER))


def raw_rows(stack: Installation) -> int:
    """Reports that are not compressed."""
    return int(stack.value("SELECT count(*) FROM store.report", role=ADMIN))


def test_what_is_read_stays_the_same(stack: Installation) -> None:
    """Every report and sample to the bit, in less room; conditions find what they found."""
    configure(stack)
    fill(stack, 1, 30000, start_of_day(5))
    before = everything(stack)
    narrow = [
        ("SELECT count(*), max(value), min(time) FROM vedette.sample WHERE credential = 'd-1' AND metric = 'm1' AND time >= %s", ago(4.5)),
        ("SELECT count(*), date_trunc('milliseconds', max(received)) FROM vedette.report WHERE device = 2 AND time < %s", ago(4)),
    ]
    found = [stack.query(sql, at) for sql, at in narrow]
    stack.stack.start_keeper()
    wait_packed(stack, 2)
    assert raw_rows(stack) == 0
    after = everything(stack)
    assert after[0] == before[0]
    assert after[1] == before[1]
    assert [stack.query(sql, at) for sql, at in narrow] == found
    assert stack.value("SELECT count(*)::int FROM store.packed WHERE count > 256 OR first > last", role=ADMIN) == 0
    ((reports_packed, samples, ratio),) = stack.query("SELECT sum(reports)::int, sum(samples)::int, min(ratio) FROM vedette.compression")
    assert reports_packed == len(before[0]) and samples == len(before[1]) and ratio > 1.5
    assert scrape(stack.stack.ports.keeper_http)["vedette_keeper_reports_compressed_total", ""] == reports_packed


def test_edges_of_doubles_and_integers(stack: Installation) -> None:
    """What SQL reads is what C wrote."""
    configure(stack)
    at = start_of_day(4)
    fill(stack, 1, 10, at)
    columns = [EDGES, [*EDGES[:3], None, None], [None] * 4, [0.1 * n for n in range(600)], [struct.unpack("<d", struct.pack("<q", n))[0]
               for n in (1, 2, 2**52 - 1, 2**52, -(2**63) + 1, -(2**63) + 2**52, 2**62, 2**62 + 1)], [1e300, 1.5], [7.0] * 300,
               [float(n) for n in range(300)], [-5.25 + n for n in range(3)]]
    for boot, column in enumerate(columns, start=100):
        insert(stack, [(at + dt.timedelta(hours=boot - 99, seconds=n), at + dt.timedelta(days=2 * n - 3), -(2**63) + boot, (-1) ** n * (2**63 - 1 - n), 1,
                        n, 1, 1, 2**31 - 1, 1, 31, [value], None) for n, value in enumerate(column)])
    before = everything(stack)
    stack.stack.start_keeper()
    wait_packed(stack, 2)
    assert everything(stack) == before


TEXTS = ["", " ", "NULL", "null", '"', '""', "\\", '\\"', "a,b", "{}", "{a,b}", "}{", "'", "kühl 🌡 日本", "\\N", "x" * 256, '\\"' * 128, "(1,2)", "\u00a0"]


def test_texts_come_back_to_the_bit(stack: Installation) -> None:
    """Through ingest, as they came and compressed; beside numbers, beside none, and integers that no double holds."""
    configure(stack)
    stack.register("words-1")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    device = stack.device("words-1")
    day = now_us() // DAY_US * DAY_US - 3 * DAY_US
    sent: list[dict[str, Any]] = [{"n": 1.5, "w": text} for text in TEXTS]
    sent += [{f"w{n}": text for n, text in enumerate(TEXTS)}, {"big": 2**53 + 1, "w": "NULL"}, {"big": -(2**62)}, {"n": 2.5}]
    for sequence, samples in enumerate(sent, start=1):
        device.send(stack.wire.report(sequence, samples, at=day + sequence * 1_000_000, historical=True))
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=len(sent))

    def found() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [{} for _ in sent]
        for sequence, metric, value, text in stack.query("SELECT sequence, metric, value, text FROM vedette.sample"):
            rows[sequence - 1][metric] = value if text is None else int(text) if metric == "big" else text
        return rows

    assert found() == sent
    stack.wait(lambda: dict(stack.query("SELECT metric, text FROM vedette.latest WHERE text IS NOT NULL")).items()
               >= {**{f"w{n}": text for n, text in enumerate(TEXTS)}, "w": "NULL", "big": str(-(2**62))}.items())
    wait_settled(stack)
    stack.stack.start_keeper()
    wait_packed(stack, 1)
    stack.wait(lambda: raw_rows(stack) == 0)
    assert found() == sent


def test_late_reports(stack: Installation) -> None:
    """Into a compressed day: stored once, what has the key of one that is there is its repeat, compressed when they are many."""
    configure(stack)
    stack.register("late-1")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    device = stack.device("late-1")
    day = now_us() // DAY_US * DAY_US - 3 * DAY_US

    def report(sequence: int, value: float = 1.5) -> Any:
        return stack.wire.report(sequence, {"m": value}, at=day + sequence * 60_000_000, historical=True)

    for sequence in range(1, 101):
        device.send(report(sequence))
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=100)
    wait_settled(stack)
    stack.stack.start_keeper()
    wait_packed(stack, 1)
    stack.wait(lambda: raw_rows(stack) == 0)
    device.send(report(101))
    device.send(report(50))
    device.send(report(51, 2.5))
    device.send(report(102))
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=102)
    stack.wait_for("SELECT sum(duplicates)::int FROM vedette.batch", expect=2)
    assert raw_rows(stack) == 2
    assert stack.value("SELECT count(DISTINCT sequence)::int FROM vedette.sample WHERE credential = 'late-1' AND value = 1.5") == 102
    for sequence in range(103, 103 + 500):
        device.send_nowait(report(sequence))
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=602)
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")
    stack.stack.kill9("vedette-keeper")
    wait_settled(stack)
    stack.stack.start_keeper()
    stack.wait(lambda: raw_rows(stack) == 0, deadline=60)
    assert stack.value("SELECT count(DISTINCT sequence)::int FROM vedette.sample WHERE credential = 'late-1' AND value = 1.5") == 602
    device.send(report(300))
    stack.wait_for("SELECT sum(duplicates)::int FROM vedette.batch", expect=3)
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")


def test_what_is_still_needed_is_left(stack: Installation) -> None:
    """A day with a batch that analysis has no checkpoint behind is not compressed."""
    configure(stack)
    stack.register("d")
    stack.stack.start_ingest()
    stack.device("d").send(stack.wire.report(1, at=now_us() - 3 * DAY_US, historical=True))
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=1)
    pick = "SELECT day FROM store.next_packing('1 hour', 500)"
    assert stack.query(pick, role=KEEPER) == [(None,)]
    stack.stack.start_analysis()
    stack.wait(lambda: stack.query(pick, role=KEEPER) == [(ago(3).date(),)])


def test_the_keeper_may_die(stack: Installation) -> None:
    """At any moment, while others add to the day: in the end everything is there once."""
    configure(stack)
    first = start_of_day(5)
    fill(stack, 2, 60000, first)
    rnd = random.Random(3)
    for n in range(12):
        stack.stack.start_keeper(ready=False)
        insert(stack, [(first + dt.timedelta(seconds=rnd.randrange(86400), microseconds=n), first, 9, n * 10 + k, 2, 1, 1 + k % 3, 1, 10, 1, 0, [1.0], None)
                       for k in range(10)])
        packed = int(stack.value("SELECT coalesce(sum(reports), 0) FROM vedette.compression"))
        if n % 2:
            stack.wait(lambda: stack.value("SELECT coalesce(sum(reports), 0) FROM vedette.compression") != packed or raw_rows(stack) < 500)
        stack.stack.kill9("vedette-keeper")
    expected = [*reports(2, 60000, first)]
    stack.stack.start_keeper()
    wait_packed(stack, 2)
    assert raw_rows(stack) < 500
    rows = stack.query("SELECT device, time, publisher, boot, sequence FROM vedette.report")
    assert len(rows) == len(set(rows)) == len(expected) + 120
    assert {(row[6], row[0], row[7], row[2], row[3]) for row in expected} <= set(rows)


def test_a_day_goes_with_its_chunks(stack: Installation) -> None:
    """Retention of all, and of a model."""
    configure(stack)
    fill(stack, 1, 1000, start_of_day(5))
    stack.stack.start_keeper()
    wait_packed(stack, 2)
    stack.register("d-2", model="brief")
    stack.stack.vedette("retention", "set", "report", "1d", "--model", "brief", "--yes")
    stack.query("SELECT store.prune()", role=KEEPER)
    assert stack.query("SELECT DISTINCT credential FROM vedette.report ORDER BY 1") == [("d-1",), ("d-3",)]
    stack.stack.vedette("retention", "set", "report", "2d", "--yes")
    stack.query("SELECT store.housekeep()", role=KEEPER)
    assert stack.query("SELECT * FROM vedette.report") == [] and stack.query("SELECT * FROM vedette.compression") == []
    assert stack.value("SELECT count(*)::int FROM pg_tables WHERE tablename LIKE 'packed_2%%'", role=ADMIN) == 0
