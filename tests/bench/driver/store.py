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

from .filling import METRICS, Fleet, empty, fill, register
from .lab import Lab
from .results import Results, Row

KEPT_RAW = 2  # days at the end that are not over for long enough to be compressed
ASKED = 40    # queries of each kind, after some to warm up
POINTS = 500
LONGEST_S = 1800.0

# What a panel would draw is added up on the server: to send and to read five hundred rows takes a client longer than to find them.
DRAWN = "SELECT count(*), sum(x.mean), min(x.low), max(x.high) FROM ({}) AS x(time, mean, low, high)"
PEER_SERIES = """SELECT date_bin(%(width)s, time, %(since)s), avg(value), min(value), max(value) FROM bench.sample
                 WHERE device = %(device)s AND metric = %(metric)s AND time >= %(since)s AND time < %(until)s GROUP BY 1 ORDER BY 1"""
SERIES = "SELECT * FROM vedette.series(%(credential)s, 'm' || %(metric)s, %(since)s, %(until)s, %(points)s)"
SHOWN = "SELECT count(*), sum(x.value), max(x.time) FROM ({}) AS x"
PEER_LATEST = """SELECT d.id, m.metric, v.time, v.value FROM generate_series(%(base)s, %(base)s + %(devices)s - 1) AS d(id)
                 CROSS JOIN generate_series(1, 8) AS m(metric)
                 CROSS JOIN LATERAL (SELECT time, value FROM bench.sample s WHERE s.device = d.id AND s.metric = m.metric
                                     ORDER BY time DESC LIMIT 1) v"""
LATEST = "SELECT * FROM vedette.latest"


def store(lab: Lab) -> dict[str, float]:
    """A month of a report a minute, measured, rolled up, compressed, asked; then a day of many devices with one each ten minutes."""
    scale = lab.scale
    empty(lab)
    month = register(lab, "month", scale.store_devices, scale.store_days, 60)
    filled_s = fill(lab, month)
    figures = {"reports": float(month.reports), "samples": float(month.samples), "fill_per_s": month.reports / filled_s, **_sizes(lab, month.samples),
               **_dump(lab, month.samples), **roll_up(lab, month), **compress(lab, scale.store_days - KEPT_RAW + 1), **_ask_series(lab, month)}
    empty(lab)
    fleet = register(lab, "fleet", scale.fleet_devices, 2, 600)
    fill(lab, fleet)
    wide = _sizes(lab, fleet.samples) | _ask_fleet(lab, fleet) | roll_up(lab, fleet) | compress(lab, 1)
    empty(lab)
    return figures | {f"fleet {name}": value for name, value in wide.items()} | {"per_s": figures["compressed_per_s"]}


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


def roll_up(lab: Lab, fleet: Fleet) -> dict[str, float]:
    """Hours of devices a second."""
    made, begun = 0, time.monotonic()
    while (some := lab.sql("SELECT store.roll_up(200)")[0][0]) > 0:
        made += some
    seconds = time.monotonic() - begun
    figures = {"rollups_per_s": made / seconds}
    for table, hours in (("hour", fleet.days * 24), ("five", min(fleet.days, 8) * 24)):
        # A keeper drops five minutes after eight days.
        ((size,),) = lab.sql("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(%s) WHERE isleaf"
                             " AND (%s OR relid::text ~ %s)", f"store.{table}", table == "hour",
                             "|".join((fleet.end - dt.timedelta(days=day)).strftime("%Y%m%d") for day in range(1, 9)))
        figures[f"{table}_bytes"] = float(size) / (hours * fleet.devices * METRICS)
        lab.sql(f"VACUUM (ANALYZE) store.{table}")
    return figures


def compress(lab: Lab, days: int) -> dict[str, float]:
    """The keeper at its full speed until nothing is left; samples a second and bytes a sample."""
    lab.stack.overrides = {"keeper": {"compress_after_h": KEPT_RAW * 24 - 24, "share": 1}}
    lab.stack.write_config()
    keeper = lab.stack.start_keeper(ready=False)
    # A keeper that cannot do it says so, and tries again for ever.
    wait_until(lambda: lab.sql("SELECT count(*) FILTER (WHERE state = 'packed') FROM store.packing")[0][0] >= days or "chore failed" in keeper.log_text(),
               LONGEST_S, step=0.2)
    if "chore failed" in keeper.log_text() or lab.sql("SELECT count(*) FROM store.packing WHERE state = 'packed'")[0][0] < days:
        raise StackError("compression did not end: " + keeper.failure())
    keeper.stop(grace=10)
    ((samples, seconds, before),) = lab.sql("SELECT sum(samples), extract(epoch FROM max(finished_at) - min(started_at)), sum(bytes_before) FROM store.packing")
    ((size,),) = lab.sql("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('store.packed') WHERE isleaf")
    lab.sql("VACUUM (ANALYZE) store.packed")
    return {"compressed_per_s": float(samples) / float(seconds), "packed_bytes": float(size) / float(samples),
            "packed_ratio": float(before) / float(size), "packed_samples": float(samples)}


class _Asking:
    """A session on one core that asks the same questions of us and of the peer."""

    def __init__(self, lab: Lab) -> None:
        self._session = lab.stack.postgres.connect("postgres")
        self._cursor = self._session.cursor()
        self._cursor.execute("SET max_parallel_workers_per_gather = 0")

    def _timed(self, statement: str, values: dict[str, Any]) -> float:
        begun = time.perf_counter()
        self._cursor.execute(statement, values)
        self._cursor.fetchall()
        return (time.perf_counter() - begun) * 1000

    def compare(self, name: str, ours: str, peer: str, make: Callable[[], dict[str, Any]], count: int) -> dict[str, float]:
        """95th percentiles in milliseconds; each question once before it counts, so that what it reads is in memory."""
        asked = [make() for _ in range(count)]
        figures = {}
        for which, statement in (("ours", ours), ("peer", peer)):
            for values in asked:
                self._timed(statement, values)
            figures[f"{name} {which}"] = _p95([self._timed(statement, values) for values in asked])
        return figures


def _ask_series(lab: Lab, month: Fleet) -> dict[str, float]:
    chance = random.Random(1)
    asking = _Asking(lab)

    def series(days: int) -> dict[str, Any]:
        # Not older than the five minutes are kept, however long it took to come here.
        since = max(month.end - dt.timedelta(days=days), dt.datetime.now(dt.UTC) - dt.timedelta(days=7.9)) if days == 7 else month.end - dt.timedelta(days=days)
        number = chance.randrange(month.devices)
        return {"device": month.base + number, "credential": f"{month.prefix}-{number}", "metric": chance.randrange(METRICS) + 1, "since": since,
                "until": month.end, "points": POINTS, "width": (month.end - since) / POINTS}

    figures: dict[str, float] = {}
    for name, days in (("day", 1), ("week", min(7, month.days)), ("month", month.days)):
        figures |= asking.compare(name, DRAWN.format(SERIES), DRAWN.format(PEER_SERIES), lambda days=days: series(days), ASKED)  # type: ignore[misc]
    return figures


def _ask_fleet(lab: Lab, fleet: Fleet) -> dict[str, float]:
    return _Asking(lab).compare("newest", SHOWN.format(LATEST), SHOWN.format(PEER_LATEST), lambda: {"base": fleet.base, "devices": fleet.devices}, 10)


def _p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def store_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    if not results.has("store"):
        return []
    f = results.rounds["store"][0]
    rows = [*_size_rows(f, "a report a minute", ""), *_size_rows(f, "a report each ten minutes", "fleet ")]
    rows.append(Row("  pg_dump | zstd of the raw rows", f"{f['dump_bytes']:.2f} bytes a sample", f"{f['dump_bytes'] / f['packed_bytes']:.1f} of compressed", ""))
    for name, what in (("day", "one metric, 24 h"), ("week", "one metric, 7 days"), ("month", "one metric, all days"), ("fleet newest", "newest values of all devices")):
        rows.append(Row(f"  {what}, p95", f"{f[f'{name} ours']:.2f} ms", f"{f[f'{name} peer'] / f[f'{name} ours']:.1f} times faster",
                        f"one row a sample {f[f'{name} peer']:.2f} ms; warm, one core, on the server"))
    return rows


def _size_rows(f: dict[str, float], what: str, prefix: str) -> list[Row]:
    def of(name: str) -> float:
        return f[prefix + name]

    start = f"{prefix}column "
    columns = ", ".join(f"{name.removeprefix(start)} {size:.2f}" for name, size in f.items() if name.startswith(start))
    return [
        Row(f"store: raw, {what}", f"{of('raw_bytes'):.1f} bytes a sample", f"{of('peer_bytes') / of('raw_bytes'):.1f} times less than one row a sample",
            f"8 samples a report; indexes {of('raw_index_bytes'):.1f}; columns: {columns}; one row a sample {of('peer_bytes'):.1f}"),
        Row("  compressed", f"{of('packed_bytes'):.2f} bytes a sample", f"{of('packed_ratio'):.1f} times less than raw",
            f"one row a sample {of('peer_bytes') / of('packed_bytes'):.0f} times"),
        Row("  compression", f"{of('compressed_per_s'):,.0f} samples/s", "", f"{of('packed_samples'):,.0f} samples, keeper.share 1"),
        Row("  rollups", f"{of('rollups_per_s'):,.0f} devices and hours/s", "",
            f"bytes a metric and hour: {of('hour_bytes'):.0f}, and of five minutes {of('five_bytes'):.0f}"),
    ]
