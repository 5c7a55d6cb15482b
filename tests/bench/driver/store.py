"""What the store takes for years of reports, and how fast it answers: beside the same data as one row a sample."""

from __future__ import annotations

import datetime as dt
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

from deploy.local.errors import StackError
from deploy.local.postgres import PORT, PROGRAMS
from deploy.local.processes import wait_until

from .lab import Lab
from .results import Results, Row

METRICS = 8
KEPT_RAW = 2  # days at the end that are not over for long enough to be compressed
ASKED = 40    # queries of each kind, after some to warm up
POINTS = 500
LONGEST_S = 3600.0

# What sensors say: few decimals, slow changes with noise, a counter, a state, some noise that is all new.
VALUES = """ARRAY[
  floor(2000 + 500 * sin(n / 229.0 + d) + 20 * random()) / 100, floor(5500 + 800 * cos(n / 229.0 + d) + 40 * random()) / 100,
  floor(101300 + 300 * sin(n / 5000.0) + 10 * random()) / 100, floor(230000 + 4000 * random()) / 1000, n * 17 + floor(5 * random()),
  CASE WHEN n %% 300 < 20 THEN 1 ELSE 0 END, floor(100 * random()), floor(1e6 * random()) / 1e5]::float8[]"""
FILL = f"""INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values)
SELECT t.at, t.at + (random() * 200 + 20) * interval '1 millisecond', 1, n, (1::bigint << 40) + n,
       ('x' || substr(md5(n::text || d), 1, 4))::bit(16)::integer - 32768, d, d, 150 + n %% 3, 1, 0, {VALUES}
FROM generate_series(1, 1440) AS m
CROSS JOIN LATERAL (SELECT (%(day)s * 1440 + m)::bigint AS n) x
CROSS JOIN generate_series(1, %(devices)s) AS d
CROSS JOIN LATERAL (SELECT %(first)s::timestamptz + n * interval '1 minute' + random() * interval '1 second' AS at) AS t"""
PEER = """CREATE TABLE bench.sample (device integer NOT NULL, metric smallint NOT NULL, time timestamptz NOT NULL, value double precision,
          PRIMARY KEY (device, metric, time))"""
PEER_FILL = """INSERT INTO bench.sample SELECT r.device, p.metric, r.time, p.value FROM store.report r
               CROSS JOIN LATERAL unnest(r.values) WITH ORDINALITY AS p(value, metric) WHERE r.time >= %s AND r.time < %s"""
PEER_SERIES = """SELECT date_bin(%(width)s, time, %(since)s), avg(value), min(value), max(value) FROM bench.sample
                 WHERE device = %(device)s AND metric = %(metric)s AND time >= %(since)s AND time < %(until)s GROUP BY 1 ORDER BY 1"""
SERIES = "SELECT * FROM vedette.series('bench-' || %(device)s, 'm' || %(metric)s, %(since)s, %(until)s, %(points)s)"
PEER_LATEST = """SELECT d.id, m.metric, v.time, v.value FROM generate_series(1, %(devices)s) AS d(id) CROSS JOIN generate_series(1, 8) AS m(metric)
                 CROSS JOIN LATERAL (SELECT time, value FROM bench.sample s WHERE s.device = d.id AND s.metric = m.metric
                                     ORDER BY time DESC LIMIT 1) v"""
LATEST = "SELECT device, metric, time, value FROM vedette.latest"


def store(lab: Lab) -> dict[str, float]:
    """Fills a month, measures its size, compresses and rolls it up, and asks what dashboards ask."""
    scale = lab.scale
    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - dt.timedelta(days=scale.store_days)
    _registry(lab, scale.store_devices, scale.store_days)
    filled_s = _fill(lab, first)
    reports = scale.store_devices * scale.store_days * 1440
    samples = reports * METRICS
    figures = {"reports": float(reports), "samples": float(samples), "fill_per_s": reports / filled_s, **_sizes(lab, samples)}
    figures |= _dump(lab, samples)
    figures |= _roll_up(lab)
    figures |= _compress(lab)
    figures |= _ask(lab, first + dt.timedelta(days=scale.store_days))
    return figures | {"per_s": figures["compressed_per_s"]}


def _registry(lab: Lab, devices: int, days: int) -> None:
    lab.sql(f"""SET ROLE vedette_admin;  -- whose the partitions have to be
                SELECT store.make_partition('report', 'day', now() - n * interval '1 day') FROM generate_series(0, {days + 1}) n""")
    lab.sql("INSERT INTO store.model (name) VALUES ('bench') ON CONFLICT DO NOTHING")
    lab.sql("TRUNCATE store.report, store.packed, store.hour, store.latest, store.stale, store.metric_set")
    lab.sql("DELETE FROM store.device")
    lab.sql("ALTER TABLE store.device ALTER id RESTART")
    lab.sql("INSERT INTO store.device (credential, model) SELECT 'bench-' || n, m.id FROM generate_series(1, %s) n, store.model m"
            " WHERE m.name = 'bench'", devices)
    lab.sql("INSERT INTO store.metric (name) SELECT 'm' || n FROM generate_series(1, 8) n ON CONFLICT DO NOTHING")
    lab.sql("INSERT INTO store.metric_set SELECT d.id, 1, (SELECT array_agg(id ORDER BY id) FROM store.metric WHERE name ~ '^m[1-8]$')"
            " FROM store.device d")
    lab.sql("DROP TABLE IF EXISTS bench.sample")
    lab.sql(PEER)


def _fill(lab: Lab, first: dt.datetime) -> float:
    """The reports day by day, then the same as one row a sample; seconds of the first."""
    seconds = 0.0
    for day in range(lab.scale.store_days):
        begun = time.monotonic()
        lab.sql(FILL, {"day": day, "devices": lab.scale.store_devices, "first": first})
        seconds += time.monotonic() - begun
        lab.sql(PEER_FILL, first + dt.timedelta(days=day), first + dt.timedelta(days=day + 1))
    lab.sql("INSERT INTO store.latest SELECT DISTINCT ON (device, set) device, set, time, values, nullif(texts, '')::text[] FROM store.report"
            " WHERE time > %s ORDER BY device, set, time DESC", first + dt.timedelta(days=lab.scale.store_days - 1))
    lab.sql("INSERT INTO store.stale SELECT d.id, h FROM store.device d, generate_series(%s, %s, interval '1 hour') h",
            first, first + dt.timedelta(days=lab.scale.store_days, hours=-1))
    lab.sql("VACUUM (ANALYZE) bench.sample")
    lab.sql("VACUUM (ANALYZE) store.report")
    return seconds


def _sizes(lab: Lab, samples: int) -> dict[str, float]:
    """Bytes a sample: of all, of the indexes, of each column."""
    ((table, indexes),) = lab.sql("SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)) FROM pg_partition_tree('store.report') WHERE isleaf")
    ((peer,),) = lab.sql("SELECT pg_total_relation_size('bench.sample')")
    columns = ("time", "received", "boot", "sequence", "batch", "device", "publisher", "size", "set", "marks", "digest", "texts", "values")
    (row,) = lab.sql("SELECT " + ", ".join(f"avg(pg_column_size({column}))::float8" for column in columns)
                     + " FROM (SELECT * FROM store.report LIMIT 100000) r")
    return {"raw_bytes": float(table + indexes) / samples, "raw_index_bytes": float(indexes) / samples, "peer_bytes": float(peer) / samples,
            **{f"column {name}": size / METRICS for name, size in zip(columns, row, strict=True)}}


def _dump(lab: Lab, samples: int) -> dict[str, float]:
    """Bytes a sample of a dump through zstd."""
    postgres = lab.stack.postgres
    command = (f"{PROGRAMS}/pg_dump -h {postgres.socket} -p {PORT} -U postgres --data-only --table 'store.report_2*' vedette | zstd -q -c | wc -c")
    done = subprocess.run(["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=True, timeout=LONGEST_S)
    return {"dump_bytes": int(done.stdout) / samples}


def _roll_up(lab: Lab) -> dict[str, float]:
    """Hours of devices a second."""
    made, begun = 0, time.monotonic()
    while (some := lab.sql("SELECT store.roll_up(200)")[0][0]) > 0:
        made += some
    ((size,),) = lab.sql("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('store.hour') WHERE isleaf")
    return {"rollups_per_s": made / (time.monotonic() - begun), "rollup_bytes": float(size) / (made * METRICS)}


def _compress(lab: Lab) -> dict[str, float]:
    """The keeper at its full speed until nothing is left; samples a second and bytes a sample."""
    lab.stack.overrides = {"keeper": {"compress_after_h": KEPT_RAW * 24 - 24, "share": 1}}
    lab.stack.write_config()
    keeper = lab.stack.start_keeper(ready=False)
    days = lab.scale.store_days - KEPT_RAW + 1
    if not wait_until(lambda: lab.sql("SELECT count(*) FILTER (WHERE state = 'packed') FROM store.packing")[0][0] >= days, LONGEST_S, step=0.2):
        raise StackError("compression did not end: " + keeper.failure())
    keeper.stop(grace=10)
    ((samples, seconds, before),) = lab.sql("SELECT sum(samples), extract(epoch FROM max(finished_at) - min(started_at)), sum(bytes_before) FROM store.packing")
    ((size,),) = lab.sql("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('store.packed') WHERE isleaf")
    lab.sql("VACUUM (ANALYZE) store.packed")
    return {"compressed_per_s": float(samples) / float(seconds), "packed_bytes": float(size) / float(samples),
            "packed_ratio": float(before) / float(size), "packed_samples": float(samples)}


def _ask(lab: Lab, end: dt.datetime) -> dict[str, float]:
    """95th percentiles in milliseconds, ours and the peer's, the same questions in the same order."""
    chance = random.Random(1)
    figures: dict[str, float] = {}
    session = lab.stack.postgres.connect("postgres")
    cursor = session.cursor()
    cursor.execute("SET max_parallel_workers_per_gather = 0")

    def timed(statement: str, values: dict[str, Any]) -> float:
        begun = time.perf_counter()
        cursor.execute(statement, values)
        cursor.fetchall()
        return (time.perf_counter() - begun) * 1000

    def compare(name: str, ours: str, peer: str, make: Callable[[], dict[str, Any]], count: int) -> None:
        asked = [make() for _ in range(count)]
        for which, statement in (("ours", ours), ("peer", peer)):
            for values in asked:
                timed(statement, values)
            figures[f"{name} {which}"] = _p95([timed(statement, values) for values in asked])

    def series(days: int) -> dict[str, Any]:
        since = end - dt.timedelta(days=days)
        return {"device": chance.randrange(lab.scale.store_devices) + 1, "metric": chance.randrange(METRICS) + 1, "since": since, "until": end,
                "points": POINTS, "width": (end - since) / POINTS}

    compare("day", SERIES, PEER_SERIES, lambda: series(1), ASKED)
    compare("month", SERIES, PEER_SERIES, lambda: series(lab.scale.store_days), ASKED)
    compare("fleet", LATEST, PEER_LATEST, lambda: {"devices": lab.scale.store_devices}, 10)
    session.close()
    return figures


def _p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def store_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    if not results.has("store"):
        return []
    f = results.rounds["store"][0]
    columns = ", ".join(f"{name.removeprefix('column ')} {size:.2f}" for name, size in f.items() if name.startswith("column "))
    rows = [
        Row("store: raw reports of 8 samples", f"{f['raw_bytes']:.1f} bytes a sample", f"{f['peer_bytes'] / f['raw_bytes']:.1f} times less than one row a sample",
            f"{f['samples']:,.0f} samples; indexes {f['raw_index_bytes']:.1f}; columns: {columns}; one row a sample {f['peer_bytes']:.1f}"),
        Row("  compressed", f"{f['packed_bytes']:.2f} bytes a sample", f"{f['packed_ratio']:.1f} times less than raw",
            f"one row a sample {f['peer_bytes'] / f['packed_bytes']:.0f} times; pg_dump | zstd of the raw rows {f['dump_bytes']:.2f}"),
        Row("  compression", f"{f['compressed_per_s']:,.0f} samples/s", "", f"{f['packed_samples']:,.0f} samples, keeper.share 1"),
        Row("  rollups of hours", f"{f['rollups_per_s']:,.0f} devices and hours/s", "", f"{f['rollup_bytes']:.0f} bytes a metric and hour"),
    ]
    for name, what in (("day", "one metric, 24 h"), ("month", "one metric, all days"), ("fleet", "newest values of all devices")):
        rows.append(Row(f"  {what}, p95", f"{f[f'{name} ours']:.1f} ms", f"{f[f'{name} peer'] / f[f'{name} ours']:.1f} times faster",
                        f"one row a sample {f[f'{name} peer']:.1f} ms; warm, one core"))
    return rows
