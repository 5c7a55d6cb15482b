"""What becomes of a feed when its journal is deleted, its worker retired for good, or the database restored from an hour ago.

Nothing stalls, nothing comes twice, and what is lost is said: as an alert where the store knows of it, else as sequence gaps.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import books
import psycopg2
import pytest
import yaml
from deploy.local.errors import StackError
from deploy.local.ports import Ports
from deploy.local.processes import Process, wait_until
from deploy.local.stack import Stack, is_ready
from support import Installation, Wire

DEVICES = ("dev-a", "dev-b")
LAG_S = 5        # event time that is closer than this moves
PUBACK = "Received PUBACK from vedette/ingest-1"
BATCH = 50       # most records in a batch
SETTINGS: dict[str, Any] = {"ingest": {"journal": {"segment_mib": 4}, "batch": {"records": BATCH}},
                            "analysis": {"rate": {"window_s": 3600}, "security": {"window_s": 86400, "login_failures": 5}}}


class Life:
    """An installation with its devices, and what they published."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.stack = installation.stack
        self.published = 0
        self.sent = 0  # messages: the reports, and the connectivity messages after them
        installation.register(*DEVICES, "watched")
        self._devices = [installation.device(credential) for credential in DEVICES]

    def publish(self, each: int, *, size: int = 0) -> None:
        """So many more reports of each device; returns when the broker has acknowledged them all."""
        padding = {f"text/{n}": "x" * 250 for n in range(size // 250)}
        for sequence in range(self.published + 1, self.published + each + 1):
            for device in self._devices:
                device.send_nowait(self.installation.wire.report(sequence, {"value": 1.0, **padding}))
        self.published += each
        self.sent += (each + 1) * len(self._devices)
        for device in self._devices:
            device.publish(f"vedette/v1/{device.credential}/connectivity", self._online(), retain=True)  # in order: the last

    def wait_stored(self, but: int = 0) -> None:
        """Waits until all reports that were published are stored, but for so many that are lost."""
        books.wait_rows(self.installation, "SELECT count(*) FROM store.report r JOIN store.device d ON d.id = r.device"
                        " WHERE d.credential <> 'watched'", expect=[(self.published * len(DEVICES) - but,)])

    def wait_acknowledged(self) -> None:
        """Waits until ingest has acknowledged all that was sent to the broker, as the broker has it. Nothing may have come twice."""
        self.installation.wait(lambda: self.stack.broker.log_text().count(PUBACK) >= self.sent, books.END_S)

    def journal(self) -> Path:
        """The folder of ingest-1."""
        return self.stack.folder / "journal"

    def delete_journal(self) -> None:
        """Somebody clears the disk."""
        shutil.rmtree(self.journal())
        self.stack.account.folder(self.journal())

    def expect_alive(self) -> None:
        """Analysis does not stall: event time moves, and what happens now becomes an alert."""
        port = self.stack.ports.analysis_http
        assert wait_until(lambda: books.metric(port, "vedette_analysis_lag_seconds") < LAG_S, books.END_S, step=0.1), (
            f"event time is {books.metric(port, 'vedette_analysis_lag_seconds')} s behind")
        v1 = self.installation.wire.v1
        failed = v1.Event(kind=v1.EVENT_KIND_LOGIN_FAILED, count=5, subject="admin")
        watched = self.installation.device("watched")
        for sequence in (1, 2):  # with two workers at the broker each gets one, and one worker may be dead
            watched.send(self.installation.wire.report(sequence, {}, events=[failed]))
        books.wait_rows(self.installation, "SELECT count(*) FROM vedette.alert WHERE credential = 'watched'", expect=[(1,)])

    def alerts(self) -> list[tuple[Any, ...]]:
        """Who, what and why, but for the device that expect_alive uses."""
        return self.installation.query("SELECT credential, kind, sentence FROM vedette.alert WHERE credential <> 'watched'"
                                       " ORDER BY opened_at, 1")

    def feeds(self) -> list[tuple[Any, ...]]:
        """Worker and reason of retirement, in the order of their opening."""
        return self.installation.query("SELECT worker, retired_why FROM vedette.worker ORDER BY feed")

    def ends(self) -> list[tuple[Any, ...]]:
        """Feed, kind and number of records of every batch that is no data."""
        return self.installation.query("SELECT feed, kind, records FROM vedette.batch WHERE kind <> 'data' ORDER BY feed, number")

    def missing(self) -> dict[str, set[int]]:
        """What of each device is not stored, where there is something. The view of gaps has to say the same."""
        found = books.stored(self.installation)
        everything = set(range(1, self.published + 1))
        missing = {name: everything - found[name] for name in DEVICES if everything - found[name]}
        assert books.gaps(self.installation) == missing
        assert all(found[name] <= everything for name in DEVICES)
        return missing

    def _online(self) -> bytes:
        v1 = self.installation.wire.v1
        return bytes(v1.Connectivity(state=v1.CONNECTIVITY_STATE_ONLINE, boot_counter=1,
                                     connection=self.published).SerializeToString())


@pytest.fixture
def live(new_stack: Callable[..., Stack], migrated: Path, wire: Wire) -> Iterator[Callable[..., Life]]:
    """Makes an installation in which ingest and analysis run; `journal` overrides settings."""
    made: list[Installation] = []

    def make(journal: dict[str, int] | None = None) -> Life:
        ingest = {**SETTINGS["ingest"], "journal": {**SETTINGS["ingest"]["journal"], **(journal or {})}}
        stack = new_stack(overrides={**SETTINGS, "ingest": ingest})
        stack.start_store(template=migrated)
        stack.start_broker()
        made.append(Installation(stack, wire))
        life = Life(made[-1])
        stack.start_ingest()
        stack.start_analysis()
        return life

    yield make
    for installation in made:
        installation.close()


# --- records that are in the journal and not in the store

FIRST_HOLD, SECOND_HOLD = 71, 72
HOLD = """CREATE FUNCTION store.test_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::integer); RETURN NEW; END $$"""


@contextlib.contextmanager
def unstored_records(life: Life, each: int) -> Iterator[int]:
    """Publishes, and lets a little of it through while the store holds up the batches after it: the store knows then that the
    journal has more. Gives how many records are journaled and not stored. The body has to end ingest."""
    with contextlib.closing(life.stack.postgres.connect(books.ADMIN)) as session, session.cursor() as cursor:
        cursor.execute("SELECT max(next_record) FROM store.batch")
        (base,) = cursor.fetchone() or (0,)
        cursor.execute(HOLD)
        for lock, above in ((FIRST_HOLD, base), (SECOND_HOLD, base + 2 * BATCH)):
            cursor.execute(f"CREATE TRIGGER hold_{lock} BEFORE INSERT ON store.batch FOR EACH ROW"
                           f" WHEN (NEW.kind = 'data' AND NEW.next_record > {above}) EXECUTE FUNCTION store.test_hold({lock})")
            cursor.execute("SELECT pg_advisory_lock(%s)", (lock,))
        life.publish(each)
        records = (each + 1) * len(DEVICES)  # with the connectivity messages
        life.wait_acknowledged()
        cursor.execute("SELECT pg_advisory_unlock(%s)", (FIRST_HOLD,))
        known = "SELECT journaled - next_record FROM store.batch WHERE journaled = %s ORDER BY number DESC LIMIT 1"
        assert wait_until(lambda: books.ask(life.installation, known, base + records), books.END_S)
        ((unstored,),) = books.ask(life.installation, known, base + records)
        assert records - 2 * BATCH <= unstored < records
        yield unstored
        cursor.execute("SELECT pg_advisory_unlock_all()")
        cursor.execute("DROP FUNCTION store.test_hold CASCADE")


# --- (a) the journal's folder is deleted


def test_deleted_journal_begins_a_new_feed(live: Callable[..., Life]) -> None:
    """Everything was stored: nothing is lost, the old feed ends with a void batch."""
    life = live()
    life.publish(50)
    life.wait_stored()
    books.stop_cleanly(life.installation, "vedette-ingest")
    life.delete_journal()
    life.publish(50)  # waits in the broker
    life.stack.start_ingest()
    life.wait_stored()
    life.expect_alive()
    books.finish(life.installation)
    books.check(life.installation)
    assert life.feeds() == [("ingest-1", "the worker came with a new journal"), ("ingest-1", None)]
    assert life.ends() == [(1, "void", 0)]
    assert life.alerts() == []
    assert life.missing() == {}


def test_loss_with_a_deleted_journal_is_an_alert_where_the_store_knows(live: Callable[..., Life]) -> None:
    """The last batch said that the journal had more: so many records are lost, and an alert says so."""
    life = live()
    life.publish(20)
    life.wait_stored()
    with unstored_records(life, 150) as lost:
        life.installation.kill9("vedette-ingest")
        life.delete_journal()
    reports = lost - len(DEVICES)  # the last ones were connectivity messages
    life.stack.start_ingest()
    life.publish(20)
    life.wait_stored(but=reports)
    life.expect_alive()
    books.finish(life.installation)
    books.check(life.installation)
    assert life.ends() == [(1, "lost", lost)]
    assert life.alerts() == [("vedette", "records lost", f"At least {lost} journaled messages of feed 1 are not in the store,"
                              " and its journal cannot bring them any more.")]
    assert sum(map(len, life.missing().values())) == reports


def test_loss_with_a_deleted_journal_shows_as_gaps_where_the_store_cannot_know(live: Callable[..., Life]) -> None:
    """The database was away while the journal filled: only the sequence numbers tell."""
    life = live()
    life.publish(20)
    life.wait_stored()
    life.installation.kill9("postgres")
    life.publish(100)
    life.wait_acknowledged()
    life.installation.kill9("vedette-ingest")
    life.delete_journal()
    life.stack.postgres.start()
    life.stack.start_ingest()
    life.publish(20)
    life.wait_stored(but=100 * len(DEVICES))
    life.expect_alive()
    books.finish(life.installation)
    books.check(life.installation)
    assert life.ends() == [(1, "void", 0)]
    assert life.alerts() == []
    assert life.missing() == dict.fromkeys(DEVICES, set(range(21, 121)))


# --- (b) a worker is retired


def admit_second_worker(life: Life) -> None:
    """What the broker needs to know of another worker: a block in its access list. Only while all workers are there: a reload
    makes Mosquitto 2.0.11 forget what a kept session may read, and drop what would wait for it."""
    rules = life.stack.broker.folder / "ingest.acl"
    text = rules.read_text(encoding="utf-8")
    rules.write_text(text + text[text.index("user "):].replace("ingest-1", "ingest-2"), encoding="utf-8")
    os.kill(life.stack.processes["mosquitto"].pid, signal.SIGHUP)
    life.installation.wait_log("Reloading config")


def start_second_worker(life: Life) -> Process:
    """Another ingest worker as an operator adds one: a name, a certificate, a journal."""
    stack = life.stack
    stack.authority.issue("vedette/ingest-2", stack.folder / "pki" / "ingest-2")
    stack.account.folder(stack.folder / "journal-2")
    port = Ports.free().ingest_http
    config = yaml.safe_load(stack.config.read_text(encoding="utf-8"))
    config["broker"] |= {"certificate": "pki/ingest-2.crt", "key": "pki/ingest-2.key"}
    config["ingest"] |= {"worker": "ingest-2", "http": {"port": port}}
    config["ingest"]["journal"]["folder"] = "journal-2"
    target = stack.folder / "vedette-2.yaml"
    target.write_text(yaml.safe_dump(config), encoding="utf-8")
    process = Process("vedette-ingest-2", [stack.programs.path("vedette-ingest"), "--config", target],
                      stack.logs / "vedette-ingest-2.log", stack.account)
    stack.processes["vedette-ingest-2"] = process
    process.start()
    process.wait_ready(lambda: is_ready(port), 30, "ready")
    return process


def expect_leaving(life: Life) -> None:
    """Ingest-1 ends by itself and says why and what to do."""
    ingest = life.stack.processes["vedette-ingest"]
    assert wait_until(lambda: not ingest.alive(), books.END_S), "a retired worker goes on"
    assert ingest.exit_code() == 1
    assert ("this worker's journal was retired in the store; leaving, the next start begins a new one with what is left"
            in ingest.log_text())


def test_retired_worker_is_fenced_and_comes_back_with_what_was_left(live: Callable[..., Life]) -> None:
    """A dead worker with unstored records holds analysis back until it is retired. Started again after all it stores nothing under
    its old feed, and everything under a new one, once."""
    life = live()
    admit_second_worker(life)
    life.publish(20)
    life.wait_stored()
    with unstored_records(life, 150) as unstored:
        life.installation.kill9("vedette-ingest")
    second = start_second_worker(life)
    life.publish(50)  # half of it waits in the broker for the dead worker
    with pytest.raises(StackError, match="nothing was done; to go on: vedette worker retire ingest-1 --yes"):
        life.stack.vedette("worker", "retire", "ingest-1")
    assert "ingest-1 is retired: 1 journal closed" in life.stack.vedette("worker", "retire", "ingest-1", "--yes")
    assert life.ends() == [(1, "lost", unstored)]
    life.expect_alive()
    life.stack.processes["vedette-ingest"].start()
    expect_leaving(life)
    life.stack.start_ingest()
    life.publish(50)
    life.wait_stored()
    assert second.alive(), second.failure()
    books.finish(life.installation, "vedette-ingest", "vedette-ingest-2")
    books.check(life.installation)
    assert [worker for worker, _ in life.feeds()] == ["ingest-1", "ingest-2", "ingest-1"]
    assert life.ends() == [(1, "lost", unstored)]
    assert [kind for _, kind, _ in life.alerts()] == ["records lost"]
    assert life.missing() == {}


def test_living_worker_that_is_retired_leaves_and_loses_nothing(live: Callable[..., Life]) -> None:
    """Retired by mistake, under load: the next start begins a new feed with what was left."""
    life = live()
    life.publish(20)
    life.wait_stored()
    for _ in range(2):  # the second time the journal is one that was begun after a retirement
        life.stack.vedette("worker", "retire", "ingest-1", "--yes")
        life.publish(50)
        expect_leaving(life)
        life.stack.start_ingest()
        life.publish(50)
        life.wait_stored()
    life.expect_alive()
    books.finish(life.installation)
    books.check(life.installation)
    assert len(life.feeds()) == 3
    assert life.missing() == {}


def test_retirement_waits_for_a_commit_under_way(live: Callable[..., Life]) -> None:
    """The worker's commit is first: its batch counts, and the feed ends behind it."""
    life = live()
    life.publish(20)
    life.wait_stored()
    with contextlib.closing(life.stack.postgres.connect(books.ADMIN)) as session, session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (FIRST_HOLD,))
        cursor.execute(HOLD)
        cursor.execute("CREATE TRIGGER hold AFTER INSERT ON store.batch FOR EACH ROW WHEN (NEW.kind = 'data')"
                       f" EXECUTE FUNCTION store.test_hold({FIRST_HOLD})")
        wait_blocked(life, "advisory")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            retired = pool.submit(life.stack.vedette, "worker", "retire", "ingest-1", "--yes")
            wait_blocked(life, "transactionid")
            cursor.execute("SELECT pg_advisory_unlock_all()")
            assert "ingest-1 is retired" in retired.result(books.END_S)
    expect_leaving(life)
    life.stack.start_ingest()
    life.publish(20)
    life.wait_stored()
    books.finish(life.installation)
    books.check(life.installation)
    assert life.ends() == [(1, "void", 0)] and life.missing() == {}


def wait_blocked(life: Life, kind: str) -> None:
    """Waits until somebody waits for a lock of this kind."""
    assert wait_until(lambda: books.ask(life.installation, "SELECT FROM pg_locks WHERE NOT granted AND locktype = %s", kind),
                      books.END_S)


# --- (c) the database is restored from an hour ago


def copy_database(life: Life) -> Path:
    """A backup: the stopped cluster's folder."""
    postgres = life.stack.postgres
    copy = postgres.folder / "an-hour-ago"
    life.installation.forget_sessions()
    postgres.stop()
    subprocess.run(["/bin/cp", "--archive", postgres.folder / "data", copy], check=True)
    postgres.start()
    return copy


def restore_database(life: Life, copy: Path) -> None:
    """The server is gone with its disk; the backup takes its place."""
    postgres = life.stack.postgres
    life.installation.kill9("postgres")
    shutil.rmtree(postgres.folder / "data")
    copy.rename(postgres.folder / "data")
    postgres.start()


def test_database_from_an_hour_ago_is_caught_up_from_the_journal(live: Callable[..., Life]) -> None:
    """Stored segments are kept for this: all that came since the backup is stored and analysed again."""
    life = live({"segment_mib": 1, "keep_mib": 64})
    life.publish(50)
    life.wait_stored()
    copy = copy_database(life)
    life.publish(400, size=3000)  # goes over several segments
    life.wait_stored()
    assert len(list(life.journal().glob("*.vdj"))) >= 3
    restore_database(life, copy)
    life.publish(50)
    life.wait_stored()
    life.expect_alive()
    books.finish(life.installation)
    books.check(life.installation)
    assert life.ends() == [] and life.alerts() == []
    assert life.feeds() == [("ingest-1", None)]
    assert life.missing() == {}


def test_what_the_journal_no_longer_keeps_for_an_old_database_is_said(live: Callable[..., Life]) -> None:
    """The records between the backup and the oldest segment are lost: a batch row, an alert, gaps, and no stall."""
    life = live({"segment_mib": 1, "keep_mib": 0})
    life.publish(50)
    life.wait_stored()
    copy = copy_database(life)
    life.publish(400, size=3000)
    life.wait_stored()
    oldest = min(int(path.stem, 16) for path in life.journal().glob("*.vdj"))
    restore_database(life, copy)
    life.publish(50)
    books.wait_rows(life.installation, "SELECT count(*) FROM store.batch WHERE kind = 'lost'", expect=[(1,)])
    books.wait_rows(life.installation, "SELECT count(*) FROM store.report WHERE sequence = %s", life.published,
                    expect=[(len(DEVICES),)])
    life.expect_alive()
    books.finish(life.installation)
    books.check(life.installation)
    ((feed, kind, lost),) = life.ends()
    assert (feed, kind) == (1, "lost") and 0 < lost <= oldest
    assert life.alerts() == [("vedette", "records lost", f"At least {lost} journaled messages of feed 1 are not in the store,"
                              " and its journal cannot bring them any more.")]
    missing = life.missing()
    assert sum(map(len, missing.values())) in (lost, lost - len(DEVICES))  # some were connectivity messages
    assert all(sequences <= set(range(51, 451)) for sequences in missing.values())


# --- deaths at unlucky moments


def half_made(life: Life) -> None:
    """A new journal whose first segment has been allocated and not written yet."""
    life.delete_journal()
    put(life, "id", os.urandom(16))
    put(life, f"{0:016x}.vdj", bytes(1 << 20))


def half_put_aside(life: Life) -> None:
    """A retired journal whose files are only partly in the folder for what is to be handed over."""
    life.stack.vedette("worker", "retire", "ingest-1", "--yes")
    (next_record,) = books.ask(life.installation, "SELECT max(first_record) FROM store.batch")[0]
    put(life, "retire", next_record.to_bytes(8, "little"))
    retired = life.stack.account.folder(life.journal() / "retired")
    first = min(life.journal().glob("*.vdj"))
    first.rename(retired / first.name)


def half_removed(life: Life) -> None:
    """A retired journal that was handed over and is being removed."""
    retired = life.stack.account.folder(life.journal() / "retired")
    shutil.copyfile(min(life.journal().glob("*.vdj")), retired / f"{0:016x}.vdj")
    life.stack.account.own(retired / f"{0:016x}.vdj")


def put(life: Life, name: str, content: bytes) -> None:
    """A file of the journal."""
    path = life.journal() / name
    path.write_bytes(content)
    life.stack.account.own(path)


@pytest.mark.parametrize("unlucky", [half_made, half_put_aside, half_removed])
def test_ingest_starts_after_a_death_at_an_unlucky_moment(live: Callable[..., Life], unlucky: Callable[[Life], None]) -> None:
    """Whatever step of making, putting aside or handing over a journal a kill interrupts: the next start goes on from there."""
    life = live({"segment_mib": 1})
    life.publish(20)
    life.wait_stored()
    books.stop_cleanly(life.installation, "vedette-ingest")
    unlucky(life)
    life.publish(20)
    life.stack.start_ingest()
    life.wait_stored()
    assert not (life.journal() / "retired").exists()
    books.finish(life.installation)
    books.check(life.installation)
    assert life.missing() == {} and life.alerts() == []
