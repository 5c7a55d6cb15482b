"""The store by itself: partitions and what they hold, interned names, fences."""

from __future__ import annotations

import contextlib
import datetime as dt

from support import Installation

PARTITIONS = """SELECT array_agg(c.relname::text) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'store.report'::regclass"""
INSERT = """INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks)
            VALUES (%s, %s, 1, %s, 1, 1, 1, 1, 10, 0, 0) RETURNING tableoid::regclass::text"""
ADMIN = "vedette_admin"


def day_name(time: dt.datetime) -> str:
    """The partition of a time."""
    return f"report_{time:%Y%m%d}"


def now() -> dt.datetime:
    """UTC, with its zone."""
    return dt.datetime.now(dt.UTC)


def housekeep(stack: Installation) -> dict[str, tuple[int, int]]:
    """Runs it as the keeper does; made and dropped by table."""
    return {what: (made, dropped) for what, made, dropped in stack.query("SELECT * FROM store.housekeep()", role="vedette_keeper")}


def test_partitions_are_made_ahead(stack: Installation) -> None:
    """The past week and three days to come; the second time there is nothing to do, whatever the planner knows by then."""
    names = stack.value(PARTITIONS, role=ADMIN)
    for days in range(-7, 4):
        assert day_name(now() + dt.timedelta(days=days)) in names
    with contextlib.closing(stack.stack.postgres.connect("postgres", "vedette")) as session, session.cursor() as cursor:
        cursor.execute("ANALYZE")
    assert housekeep(stack) == {"event": (0, 0), "five": (0, 0), "hour": (0, 0), "report": (0, 0), "traffic": (0, 0)}


def test_rows_of_a_missing_day_wait_and_move(stack: Installation) -> None:
    """Backfill lies in the default partition until its day is made; clocks far off do not stop housekeeping."""
    old = now() - dt.timedelta(days=20)
    far = now() + dt.timedelta(days=14)
    never = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    for sequence, time in enumerate((old, far, never), start=1):
        assert stack.value(INSERT, time, now(), sequence, role="vedette_ingest") == "store.report_default"
    assert housekeep(stack)["report"] == (1, 0)
    where = dict(stack.query("SELECT sequence, tableoid::regclass::text FROM store.report", role=ADMIN))
    assert where == {1: f"store.{day_name(old)}", 2: "store.report_default", 3: "store.report_default"}


def test_a_store_of_another_version(stack: Installation) -> None:
    """Whose rows look differently: the worker waits and takes no message for bad, and goes on once they fit."""
    stack.register("d-1")
    stack.stack.start_ingest()
    stack.query("ALTER TABLE store.report ADD COLUMN news integer; SELECT 1", role=ADMIN)
    stack.device("d-1").send(stack.wire.report(1))
    log = stack.stack.logs / "vedette-ingest.log"
    stack.wait(lambda: "another version" in log.read_text(encoding="utf-8"))
    assert stack.value("SELECT count(*)::int FROM vedette.dead_letter") == 0
    stack.query("ALTER TABLE store.report DROP COLUMN news; SELECT 1", role=ADMIN)
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=1)


def test_a_row_is_as_small_as_promised(stack: Installation) -> None:
    """Eight doubles and no texts: 24 bytes of head, 58 fixed ones, 1 of texts, 85 of values; padding or a NULL would cost eight."""
    stack.query("""INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values)
                   VALUES (now(), now(), 1, 1, 1, -5, 1, 1, 10, 1, 0, '{1,2,3,4,5,6,7,8}') RETURNING 1""", role="vedette_ingest")
    assert stack.value("SELECT pg_column_size(r.*) FROM store.report r", role=ADMIN) == 168


def test_what_is_past_its_retention_goes(stack: Installation) -> None:
    """Old partitions are dropped; rows outside every day go by the time they were received."""
    gone = now() - dt.timedelta(days=40)
    stack.query("SELECT store.make_partition('report', 'day', %s)", gone, role=ADMIN)
    stack.value(INSERT, gone, gone, 1, role="vedette_ingest")
    stack.value(INSERT, dt.datetime(1970, 1, 1, tzinfo=dt.UTC), gone, 2, role="vedette_ingest")
    stack.value(INSERT, dt.datetime(1970, 1, 1, tzinfo=dt.UTC), now(), 3, role="vedette_ingest")
    assert housekeep(stack)["report"] == (0, 1)
    assert stack.query("SELECT sequence FROM store.report", role=ADMIN) == [(3,)]


def test_names_are_numbered_once_and_limited(stack: Installation) -> None:
    """The same name has the same number; past the limit there is none."""
    model = stack.value("INSERT INTO store.model (name) VALUES ('m') RETURNING id", role=ADMIN)
    ask = "SELECT store.intern_metrics(%s, %s, %s)"
    first = stack.value(ask, model, ["b", "a", "b"], 3, role="vedette_ingest")
    assert first[0] == first[2] != first[1]
    assert stack.value(ask, model, ["a", "c", "d"], 3, role="vedette_ingest")[0] == first[1]
    assert stack.value(ask, model, ["c", "d"], 3, role="vedette_ingest")[1] is None
    sets = [stack.value("SELECT store.intern_set(7, %s, 2)", metrics, role="vedette_ingest") for metrics in ([1, 2], [3], [1, 2], [4])]
    assert sets == [1, 2, 1, None]


def test_a_new_journal_retires_the_old_feed(stack: Installation) -> None:
    """The next number of the old feed is taken, by what was lost as far as the store knows."""
    opened = "SELECT feed, next_number, next_record, retired FROM store.open_feed(%s, 'w')"
    old, new = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
    ((feed, number, record, retired),) = stack.query(opened, old, role="vedette_ingest")
    assert (number, record, retired) == (1, 0, False)
    stack.query("""INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since, reports)
                   VALUES (%s, 1, 0, 5, 9, now(), now(), 5) RETURNING 1""", feed, role="vedette_ingest")
    ((other, number, _, _),) = stack.query(opened, new, role="vedette_ingest")
    assert other != feed and number == 1
    assert stack.query("SELECT number, kind, first_record, next_record FROM store.batch WHERE feed = %s ORDER BY number", feed,
                       role=ADMIN) == [(1, "data", 0, 5), (2, "lost", 5, 9)]
    assert stack.query(opened, old, role="vedette_ingest") == [(feed, 3, 5, True)]  # what is lost there may be handed over


def test_what_has_no_partitions_goes_by_age(stack: Installation) -> None:
    """Analysed batches of long ago go, the last one of a feed stays: it says where the feed goes on."""
    ((feed, _, _, _),) = stack.query("SELECT feed, next_number, next_record, retired FROM store.open_feed(gen_random_uuid(), 'w')",
                                     role="vedette_ingest")
    stack.query("""INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since, committed_at)
                   SELECT %s, n, 0, 0, 0, now(), now(), now() - interval '40 days' FROM generate_series(1, 3) n RETURNING 1""",
                feed, role=ADMIN)
    stack.query("""INSERT INTO store.analysed_batch (lane, step, feed, number, rows)
                   SELECT 0, n, %s, n, 0 FROM generate_series(1, 3) n RETURNING 1""", feed, role=ADMIN)
    stack.query("INSERT INTO store.checkpoint VALUES (0, 3, 1, '[]') RETURNING 1", role=ADMIN)
    stack.query("""INSERT INTO store.dead_letter SELECT 0, n, 1, now() - n * interval '20 days', 1, NULL, NULL, 1, '', '', ''
                   FROM generate_series(1, 2) n RETURNING 1""", role=ADMIN)
    stack.query("SELECT store.prune()", role="vedette_keeper")
    assert stack.query("SELECT number FROM store.batch", role=ADMIN) == [(3,)]
    assert stack.query("SELECT number FROM store.analysed_batch", role=ADMIN) == [(3,)]
    assert stack.value("SELECT count(*) FROM store.dead_letter", role=ADMIN) == 1
