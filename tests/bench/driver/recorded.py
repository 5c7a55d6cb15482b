"""What recorded telemetry takes when it is compressed: each file a device, each row a report."""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError
from deploy.local.processes import wait_until
from psycopg2.extras import execute_values

from .filling import empty
from .lab import Lab
from .results import Results, Row

LONGEST_S = 1800.0
# Rows and index entries as they are stored; not what is left free in the last page of each small partition.
ROW_BYTES = "28 + 28 + " + " + ".join(f"coalesce(pg_column_size(p.{column}), 0)" for column in (
    "first", "last", "received_last", "device", "publisher", "set", "count", "time", "received", "boot", "sequence", "batch", "size",
    "marks", "values", "texts"))


def recorded(lab: Lab) -> dict[str, float]:
    """Each set by itself, and all together; no figures where the sets are not there."""
    folder = lab.root.parent / "shared" / "datasets"
    if not folder.is_dir():
        return {}
    figures: dict[str, float] = {}
    all_bytes = all_samples = 0.0
    lab.sql("UPDATE store.retention SET keep = '99 years' WHERE class IN ('report', 'detail')")
    for name in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        empty(lab)
        used, samples = _measure(lab, folder / name)
        figures[f"{name} bytes"], figures[f"{name} samples"] = used / samples, samples
        all_bytes, all_samples = all_bytes + used, all_samples + samples
    empty(lab)
    lab.sql("UPDATE store.retention SET keep = CASE class WHEN 'report' THEN interval '30 days' ELSE interval '8 days' END WHERE class IN ('report', 'detail')")
    return figures | {"all bytes": all_bytes / all_samples, "all samples": all_samples}


def _measure(lab: Lab, folder: Path) -> tuple[float, float]:
    """Bytes and samples of a set."""
    files = sorted(path for path in folder.glob("data/**/*.csv"))
    end = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=2)
    session = lab.stack.postgres.connect("postgres")
    session.autocommit = False
    with session.cursor() as cursor:
        for number, path in enumerate(files):
            _load(cursor, _device(cursor, f"{folder.name}-{number}"), list(_rows(path)), end)
    session.commit()
    session.close()
    lab.sql("ANALYZE store.report")
    _compress(lab)
    ((used, samples),) = lab.sql(f"SELECT sum({ROW_BYTES}), (SELECT sum(samples) FROM store.packing) FROM store.packed p")
    return float(used), float(samples)


def _device(cursor: Any, name: str) -> int:
    cursor.execute("INSERT INTO store.model (name) VALUES ('recorded') ON CONFLICT DO NOTHING")
    cursor.execute("INSERT INTO store.device (credential, model) SELECT %s, id FROM store.model WHERE name = 'recorded' RETURNING id", (name,))
    return int(cursor.fetchone()[0])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _rows(path: Path) -> Iterator[tuple[dt.datetime, list[float | None]]]:
    """Time and values. A file without times has a row a minute."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        times = header[0] == "timestamp"
        for place, row in enumerate(reader):
            if not times:
                at = dt.datetime.fromtimestamp(place * 60, dt.UTC)
            elif row[0].replace(".", "").isdigit():
                at = dt.datetime.fromtimestamp(float(row[0]), dt.UTC)
            else:
                at = dt.datetime.fromisoformat(row[0]).replace(tzinfo=dt.UTC)
            yield at, [_number(text) for text in row[times:]]


def _load(cursor: Any, device: int, rows: list[tuple[dt.datetime, list[float | None]]], end: dt.datetime) -> None:
    """By whole days to before `end`, received a fifth of a second later at most."""
    chance = random.Random(device)
    days = (end.date() - max(at for at, _ in rows).date()).days - 1
    moved = [(at + dt.timedelta(days=days), values) for at, values in rows]
    cursor.execute("SET LOCAL ROLE vedette_admin")
    for day in sorted({at.date() for at, _ in moved}):
        cursor.execute("SELECT store.make_partition('report', 'day', %s::timestamp AT TIME ZONE 'UTC')", (day,))
    cursor.execute("RESET ROLE")
    cursor.execute("INSERT INTO store.metric_set SELECT %s, 1, array_agg(n) FROM generate_series(1, %s) n", (device, len(moved[0][1])))
    execute_values(cursor, "INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values)"
                           " VALUES %s ON CONFLICT DO NOTHING", [
        (at, at + dt.timedelta(microseconds=chance.randrange(20_000, 220_000)), 1, number, (1 << 40) + number,
         chance.randrange(-32768, 32768), device, device, 60 + 12 * len(values) + chance.randrange(3), 1, 0, values)
        for number, (at, values) in enumerate(moved, 1)], page_size=1000)


def _compress(lab: Lab) -> None:
    lab.stack.overrides = {"keeper": {"compress_after_h": 1, "share": 1}}
    lab.stack.write_config()
    keeper = lab.stack.start_keeper(ready=False)
    if not wait_until(lambda: lab.sql("SELECT NOT EXISTS (SELECT FROM store.report) AND NOT EXISTS (SELECT FROM store.packing WHERE state <> 'packed')")[0][0],
                      LONGEST_S, step=0.2):
        raise StackError("compression did not end: " + keeper.failure())
    keeper.stop(grace=10)


def recorded_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    if not results.has("recorded"):
        return []
    f = results.rounds["recorded"][0]
    return [Row(f"compressed: {name.removesuffix(' bytes')}", f"{size:.2f} bytes a sample", "", f"{f[name.replace(' bytes', ' samples')]:,.0f} samples")
            for name, size in f.items() if name.endswith(" bytes")]
