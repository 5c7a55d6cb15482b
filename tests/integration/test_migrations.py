"""Migrations from every earlier version, with data in place and writers at work: nothing is lost, and all end with one schema."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from deploy.local.errors import StackError
from deploy.local.postgres import PORT, PROGRAMS
from deploy.local.processes import wait_until
from deploy.local.stack import ROOT, Stack

FILES = sorted((ROOT / "storage" / "migrations").glob("*.sql"))
FIRST_WITH_REPORTS = 3
BOOKKEEPING = """CREATE SCHEMA vedette_meta;
CREATE TABLE vedette_meta.vedette_migration (
  number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
  program_version text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
GRANT USAGE ON SCHEMA vedette_meta TO vedette_ingest, vedette_analysis, vedette_console, vedette_grafana;
GRANT SELECT ON vedette_meta.vedette_migration TO vedette_ingest, vedette_analysis, vedette_console, vedette_grafana"""
REGISTRY = """INSERT INTO store.model (name) VALUES ('m');
INSERT INTO store.device (credential, model) SELECT 'd-' || n, 1 FROM generate_series(1, 3) n;
INSERT INTO store.metric (name) VALUES ('t');
INSERT INTO store.metric_set VALUES (1, 1, '{1}')"""
BATCH = """INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since, reports, rows)
           VALUES (1, %(n)s, %(n)s, %(n)s + 1, %(n)s + 1, now(), now(), 1, 1)"""
REPORT = """INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values)
            VALUES (now(), now(), 1, %(n)s, (1::bigint << 40) + %(n)s, 1, 1, 1, 10, 1, 0, ARRAY[%(n)s])"""
LETTER = """INSERT INTO store.dead_letter (device, batch, record, received, reason, size, topic, detail, payload)
            VALUES (2, (1::bigint << 40) + 1, 1, now(), 1, 3, 't', 'd', 'abc')"""


@pytest.fixture
def empty(new_stack: Callable[..., Stack], bootstrapped: Path) -> Iterator[Stack]:
    """A database with roles and no schema."""
    stack = new_stack()
    stack.start_store(template=bootstrapped)
    yield stack


def run(stack: Stack, *statements: str, role: str = "vedette_admin") -> None:
    """Each in a transaction of its own."""
    with contextlib.closing(stack.postgres.connect(role)) as session, session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def migrate_to(stack: Stack, number: int) -> None:
    """The schema as the version with so many migrations had it."""
    run(stack, BOOKKEEPING)
    for at, file in enumerate(FILES[:number], start=1):
        text = file.read_text(encoding="utf-8")
        run(stack, f"BEGIN; {text}; COMMIT")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        run(stack, f"INSERT INTO vedette_meta.vedette_migration VALUES ({at}, '{file.stem}', '{digest}', '0')")


class Writer(threading.Thread):
    """Stores batches of one report as ingest does, until it is stopped; counts those whose commit succeeded."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self._stack = stack
        self._enough = threading.Event()
        self.stored = 0
        self.error: Exception | None = None

    def run(self) -> None:
        """Writes."""
        try:
            with contextlib.closing(self._stack.postgres.connect("vedette_ingest")) as session, session.cursor() as cursor:
                while not self._enough.is_set():
                    values = {"n": self.stored + 1}
                    cursor.execute(f"BEGIN; {BATCH}; {REPORT}; COMMIT", values)
                    self.stored += 1
        except psycopg2.Error as error:
            self.error = error

    def stop(self) -> int:
        """How many are stored."""
        self._enough.set()
        self.join(30)
        assert self.error is None, self.error
        return self.stored


def schema(stack: Stack) -> str:
    """What makes the schema, as SQL."""
    argv = [str(PROGRAMS / "pg_dump"), "-h", str(stack.postgres.socket), "-p", str(PORT), "-U", "postgres", "--schema-only", "vedette"]
    dumped = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout
    return re.sub(r"\\(un)?restrict .*", "", dumped)


@pytest.mark.parametrize("number", range(len(FILES)), ids=[f"from-{number}" for number in range(len(FILES))])
def test_from_every_version(empty: Stack, number: int) -> None:
    """What was there is there, what was written meanwhile too, and the schema is the one of a new installation."""
    writer = None
    if number > 0:
        migrate_to(empty, number)
        run(empty, REGISTRY)
    if number >= FIRST_WITH_REPORTS:
        run(empty, "SELECT store.open_feed('00000000-0000-0000-0000-000000000001', 'w')", LETTER)
        writer = Writer(empty)
        writer.start()
    empty.migrate()
    expected = {} if number == 0 else {"d-1": "m", "d-2": "m", "d-3": "m"}
    with contextlib.closing(empty.postgres.connect("vedette_console")) as session, session.cursor() as cursor:
        if writer is not None:
            stored = writer.stop()
            assert stored > 0
            cursor.execute("SELECT count(*), sum(value), max(sequence) FROM vedette.sample WHERE credential = 'd-1' AND metric = 't'")
            assert cursor.fetchone() == (stored, stored * (stored + 1) / 2, stored)
            cursor.execute("SELECT count(*) FROM vedette.dead_letter")
            assert cursor.fetchone() == (1,)
        cursor.execute("SELECT credential, model FROM vedette.device")
        assert dict(cursor.fetchall()) == expected
    run(empty, "SELECT store.housekeep(), store.prune()", role="vedette_keeper")


ODD = """INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values, texts)
         SELECT %(at)s::timestamptz + n * interval '1 second', now(), -1, n, 1, (n - 4) * 7777777777777777, 1, 1, 10, CASE n WHEN 1 THEN 0 ELSE 2 END, 0,
                CASE WHEN n > 1 THEN ARRAY[n / 3.0, NULL] END::float8[], t
         FROM (VALUES (1, NULL::text[]), (2, NULL), (3, ARRAY[NULL, 'a "b" {c}, \\']), (4, ARRAY['NULL', '']), (5, ARRAY[NULL, NULL])) AS x(n, t)"""
# A chunk of one report: every column is a head of 26 bits and one number.
CHUNK = """INSERT INTO store.packed SELECT %(at)s::timestamptz, %(at)s, now(), 1, 1, 2, 1, c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8],
             ARRAY[b'01000000000000000000000000' || 42::bigint::bit(64), b'01000000000000000000000000' || 43::bigint::bit(64)], ARRAY[NULL, 'packed']
           FROM (SELECT array_agg(repeat('0', 26)::bit varying || n::bit(64) ORDER BY place) AS c
                 FROM unnest(ARRAY[(extract(epoch FROM %(at)s::timestamptz) * 1e6)::bigint, 5, 1, 77, 1, 65535, 10, 0]) WITH ORDINALITY AS u(n, place)) x"""
READ = {"reports": "SELECT time, date_trunc('milliseconds', received), credential, publisher, boot, sequence, size, batch, clock FROM vedette.report ORDER BY time, sequence",
        "samples": """SELECT time, date_trunc('milliseconds', received), boot, sequence, metric, encode(float8send(value), 'hex'), text FROM vedette.sample
                      ORDER BY time, sequence, metric""",
        "raw": "SELECT time, digest & 65535 FROM store.report ORDER BY time, sequence"}


def read(stack: Stack) -> dict[str, list[tuple[object, ...]]]:
    """What is stored, as people and the store see it."""
    with contextlib.closing(stack.postgres.connect("vedette_admin")) as session, session.cursor() as cursor:
        found = {}
        for name, statement in READ.items():
            cursor.execute(statement)
            found[name] = list(cursor.fetchall())
        return found


def test_rows_move_to_smaller_ones(empty: Stack) -> None:
    """From 12 on: values and texts to the bit, in their partitions; a day that was compressed is raw again, and is compressed anew."""
    migrate_to(empty, 12)
    day = (dt.datetime.now(dt.UTC) - dt.timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    run(empty, REGISTRY, "INSERT INTO store.metric (name) VALUES ('u'); INSERT INTO store.metric_set VALUES (1, 2, '{1,2}')")
    with contextlib.closing(empty.postgres.connect("vedette_admin")) as session, session.cursor() as cursor:
        for at in (day, dt.datetime.now(dt.UTC), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)):
            cursor.execute(ODD, {"at": at})
        cursor.execute("SELECT store.next_packing('1 hour', 1)")
        assert cursor.fetchone() == (day.date(),)
        cursor.execute(CHUNK, {"at": day})
    before = read(empty)
    assert len(before["reports"]) == 16 and len(before["samples"]) == 26
    empty.migrate()
    migrated = read(empty)
    assert len(migrated["raw"]) == 16 and set(before["raw"]) < set(migrated["raw"])
    assert {name: rows for name, rows in migrated.items() if name != "raw"} == {name: rows for name, rows in before.items() if name != "raw"}
    again = """INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks)
               VALUES (%(at)s, now(), 1, 77, 1, 1, 1, 1, 10, 0, 0)"""
    with contextlib.closing(empty.postgres.connect("vedette_ingest")) as session, session.cursor() as cursor:
        with pytest.raises(psycopg2.errors.UniqueViolation):
            cursor.execute(again, {"at": day})
        cursor.execute("""SELECT count(*), bool_and(k.same) FROM (
                            SELECT array_agg(device) AS a, array_agg((extract(epoch FROM time) * 1e6)::bigint) AS b, array_agg(publisher) AS c,
                                   array_agg(boot) AS d, array_agg(sequence) AS e, array_agg(digest::bigint) AS f
                            FROM store.report) r CROSS JOIN LATERAL store.known_reports(a, b, c, d, e, f) AS k""")
        assert cursor.fetchone() == (16, True)
    empty.overrides = {"keeper": {"compress_after_h": 1, "share": 1}}
    empty.write_config()
    empty.start_keeper()
    assert wait_until(lambda: len(read(empty)["raw"]) == 10, 30)
    after = read(empty)
    assert (after["reports"], after["samples"]) == (before["reports"], before["samples"])


def test_all_end_with_one_schema(new_stack: Callable[..., Stack], bootstrapped: Path) -> None:
    """Step by step or at once."""
    stacks = [new_stack(), new_stack()]
    for stack in stacks:
        stack.start_store(template=bootstrapped)
    stacks[0].migrate()
    migrate_to(stacks[1], len(FILES) - 2)
    stacks[1].migrate()
    assert schema(stacks[0]) == schema(stacks[1])


def test_waits_for_a_long_reader(empty: Stack) -> None:
    """A query that holds a table for long does not fail a migration, and writers do not queue behind it for long."""
    migrate_to(empty, FIRST_WITH_REPORTS)
    with contextlib.closing(empty.postgres.connect("vedette_admin")) as reader, reader.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT count(*) FROM store.dead_letter")
        argv = [str(empty.programs.path("vedette")), "--config", str(empty.config), "migrate"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert "waits for a table that is in use" in process.stderr.readline()
            cursor.execute("COMMIT")
            assert process.wait(60) == 0


def test_says_that_a_role_is_missing(empty: Stack) -> None:
    """Who updates from before the keeper is told to run the bootstrap again; then it works."""
    migrate_to(empty, 9)
    run(empty, "REVOKE CONNECT ON DATABASE vedette FROM vedette_keeper", "DROP ROLE vedette_keeper", role="postgres")
    with pytest.raises(StackError, match="bootstrap"):
        empty.migrate()
    empty.postgres.bootstrap(ROOT / "storage" / "bootstrap.sql")
    empty.migrate()
