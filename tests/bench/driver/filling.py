"""Fills the store with reports at COPY speed, in the order in which they would have come, and the same as one row a sample."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass

from .lab import Lab

METRICS = 8

# What sensors say: few decimals, slow changes with noise, a counter, a state, some noise that is all new.
VALUES = """ARRAY[
  floor(2000 + 500 * sin(n / 229.0 + d) + 20 * random()) / 100, floor(5500 + 800 * cos(n / 229.0 + d) + 40 * random()) / 100,
  floor(101300 + 300 * sin(n / 5000.0) + 10 * random()) / 100, floor(230000 + 4000 * random()) / 1000, n * 17 + floor(5 * random()),
  CASE WHEN n %% 300 < 20 THEN 1 ELSE 0 END, floor(100 * random()), floor(1e6 * random()) / 1e5]::float8[]"""
FILL = f"""INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values)
SELECT x.at, x.at + (random() * 200 + 20) * interval '1 millisecond', 1, n, (1::bigint << 40) + n,
       (floor(random() * 65536) - 32768)::smallint, x.device, x.device, 150 + n %% 3, 1, 0, {VALUES}
FROM generate_series(0, %(devices)s * %(reports)s - 1) AS i
CROSS JOIN LATERAL (SELECT i %% %(devices)s AS d, (%(day)s * %(reports)s + i / %(devices)s + 1)::bigint AS n) AS k
CROSS JOIN LATERAL (SELECT %(base)s + d AS device, %(first)s::timestamptz + (n - 1) * %(every)s::interval + random() * interval '1 second' AS at) AS x"""
PEER = """CREATE TABLE bench.sample (device integer NOT NULL, metric smallint NOT NULL, time timestamptz NOT NULL, value double precision,
          PRIMARY KEY (device, metric, time))"""
PEER_FILL = """INSERT INTO bench.sample SELECT r.device, p.metric, r.time, p.value FROM store.report r
               CROSS JOIN LATERAL unnest(r.values) WITH ORDINALITY AS p(value, metric) WHERE r.time >= %s AND r.time < %s"""


@dataclass(frozen=True)
class Fleet:
    """Devices `prefix`-0, -1, … with numbers from `base` on, that reported for whole days up to today's beginning."""

    prefix: str
    base: int
    devices: int
    days: int
    every_s: int
    end: dt.datetime

    @property
    def first(self) -> dt.datetime:
        """The beginning of its first day."""
        return self.end - dt.timedelta(days=self.days)

    @property
    def reports(self) -> int:
        """Of all its devices."""
        return self.devices * self.days * 86400 // self.every_s

    @property
    def samples(self) -> int:
        """Of all its devices."""
        return self.reports * METRICS


def register(lab: Lab, prefix: str, devices: int, days: int, every_s: int, *, owners: bool = False) -> Fleet:
    """The devices, each with an owner of its own if asked for, and the partitions of their days."""
    end = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    lab.sql("SET ROLE vedette_admin; "  # whose the partitions have to be
            + "; ".join(f"SELECT store.make_partition('{parent}', '{unit}', now() - n * interval '1 day') FROM generate_series(0, {days + 1}) n"
                        for parent, unit in (("report", "day"), ("five", "day"), ("hour", "month"))))
    lab.sql("INSERT INTO store.model (name) VALUES ('bench') ON CONFLICT DO NOTHING")
    ((base,),) = lab.sql("SELECT coalesce(max(id), 0) + 1 FROM store.device")
    prefix = f"{prefix}-{base}"  # a part may come again
    if owners:
        lab.sql("INSERT INTO store.owner (name) SELECT %s || '-owner-' || n FROM generate_series(0, %s - 1) n", prefix, devices)
    lab.sql("INSERT INTO store.device (id, credential, model, owner) OVERRIDING SYSTEM VALUE SELECT %s + n, %s || '-' || n, m.id, o.id"
            " FROM generate_series(0, %s - 1) n JOIN store.model m ON m.name = 'bench' LEFT JOIN store.owner o ON o.name = %s || '-owner-' || n",
            base, prefix, devices, prefix)
    lab.sql("SELECT setval(pg_get_serial_sequence('store.device', 'id'), %s)", base + devices)
    lab.sql("INSERT INTO store.metric (name) SELECT 'm' || n FROM generate_series(1, 8) n ON CONFLICT DO NOTHING")
    lab.sql("INSERT INTO store.metric_set SELECT d.id, 1, (SELECT array_agg(id ORDER BY id) FROM store.metric WHERE name ~ '^m[1-8]$')"
            " FROM store.device d WHERE d.id >= %s", base)
    return Fleet(prefix, int(base), devices, days, every_s, end)


def empty(lab: Lab) -> None:
    """No report is left, in any form, nor a day that was compressed."""
    for (day,) in lab.sql("SELECT to_char(day, 'YYYYMMDD') FROM store.packing"):
        lab.sql(f"DROP TABLE IF EXISTS store.packed_{day}, store.report_{day}")
    lab.sql("TRUNCATE store.report, store.packed, store.packing, store.hour, store.five, store.latest, store.stale; DROP TABLE IF EXISTS bench.sample")
    lab.sql(PEER)


def fill(lab: Lab, fleet: Fleet, *, peer: bool = True) -> float:
    """The reports day by day, then the same as one row a sample; what analysis notes of them. Seconds of the first."""
    seconds = 0.0
    for day in range(fleet.days):
        begun = time.monotonic()
        lab.sql(FILL, {"day": day, "devices": fleet.devices, "base": fleet.base, "first": fleet.first, "reports": 86400 // fleet.every_s,
                       "every": f"{fleet.every_s} s"})
        seconds += time.monotonic() - begun
        if peer:
            lab.sql(PEER_FILL, fleet.first + dt.timedelta(days=day), fleet.first + dt.timedelta(days=day + 1))
    lab.sql("INSERT INTO store.latest SELECT DISTINCT ON (device, set) device, set, time, values, nullif(texts, '')::text[] FROM store.report"
            " WHERE time > %s AND device >= %s ORDER BY device, set, time DESC", fleet.end - dt.timedelta(days=1), fleet.base)
    lab.sql("INSERT INTO store.stale SELECT %s + n, h FROM generate_series(0, %s - 1) n, generate_series(%s, %s, interval '1 hour') h",
            fleet.base, fleet.devices, fleet.first, fleet.end - dt.timedelta(hours=1))
    for table in ("bench.sample", "store.report", "store.latest", "store.device", "store.metric_set"):
        lab.sql(f"VACUUM (ANALYZE) {table}")
    lab.sql("CHECKPOINT")  # as every measurement begins
    return seconds
