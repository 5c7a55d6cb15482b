"""The journal on a disk that is full, and on one that gives other bytes back than it was given.

The worker stays alive, leaves the broker while it has no room, comes back by itself, and what is lost is said.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import books
import pytest
from deploy.local import processes
from deploy.local.errors import StackError
from deploy.local.processes import Process, wait_until
from deploy.local.stack import Stack, is_ready
from support import Installation, Wire
from test_feed_life import DEVICES, SETTINGS, Life

DISK_MIB = 8
REPORT_BYTES = 1000  # about 900 fill a segment; what the broker may have in flight to the worker has to fit into one
INGEST = "vedette-ingest"


class Disk:
    """A small file system of its own in the journal's place, in namespaces that nobody but the worker enters."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.folder = stack.folder / "journal"
        self._holder = Process("disk", ["/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c",
                                        f"mount -t tmpfs -o size={DISK_MIB}m,mode=700 disk '{self.folder}' && echo mounted"
                                        " && exec sleep infinity"], stack.logs / "disk.log", stack.account)
        stack.processes["disk"] = self._holder
        self._holder.start()
        try:
            self._holder.wait_ready(lambda: "mounted" in self._holder.log_text(), 10, "mounted")
        except StackError as error:
            pytest.skip(f"{stack.account.name} may not mount a small disk in a user namespace here: {error}")

    def inside(self, *words: str | Path) -> list[str | Path]:
        """The command line that runs a command where the disk is."""
        return ["/usr/bin/nsenter", "--user", "--mount", "--preserve-credentials", f"--target={self._holder.pid}", "--", *words]

    def run(self, *words: str | Path) -> str:
        """Runs a command there and returns what it printed."""
        return processes.run(self.inside(*words), self._stack.account)

    def fill(self) -> None:
        """Takes all that is left."""
        self.run("/bin/sh", "-c", f"cat /dev/zero >'{self.folder}/ballast' 2>/dev/null || true")

    def make_room(self) -> None:
        """Gives it back."""
        self.run("/bin/rm", self.folder / "ballast")


class Full:
    """An installation whose journal is on a small disk."""

    def __init__(self, life: Life, disk: Disk) -> None:
        self.life = life
        self.disk = disk
        stack = life.stack
        self.port = stack.ports.ingest_http
        unprivileged = ["/usr/bin/unshare", "--user", f"--map-user={stack.account.uid}", f"--map-group={stack.account.gid}", "--"]
        self.ingest = Process(INGEST, disk.inside(*unprivileged, stack.programs.path(INGEST), "--config", stack.config),
                              stack.logs / f"{INGEST}.log", stack.account)
        stack.processes[INGEST] = self.ingest

    def wait_metric(self, name: str, value: float) -> None:
        """Waits until the worker says so."""
        assert wait_until(lambda: self.metric(name) == value, books.END_S, step=0.05), (
            f"{name} is {self.metric(name)}, not {value}; {self.ingest.failure()}")

    def metric(self, name: str) -> float | None:
        """A metric of the worker; None while it does not answer."""
        try:
            return books.metric(self.port, f"vedette_ingest_{name}")
        except (urllib.error.URLError, OSError):
            return None

    def said(self, words: str) -> int:
        """How often the worker has logged this since its start."""
        return self.ingest.log_text().count(words)

    def finish(self) -> None:
        """Everything that was published is stored, once, and adds up."""
        self.life.wait_stored()
        self.life.expect_alive()
        books.finish(self.life.installation)
        books.check(self.life.installation)
        assert self.life.missing() == {} and self.life.ends() == [] and self.life.alerts() == []
        assert "adds up" in self.life.stack.vedette("ledger", "--check")


@pytest.fixture
def started(new_stack: Callable[..., Stack], migrated: Path, wire: Wire) -> Iterator[Callable[..., Life]]:
    """Makes an installation with everything but the ingest worker; stored segments up to `keep_mib` are kept."""
    made: list[Installation] = []

    def make(keep_mib: int) -> Life:
        journal = {"segment_mib": 1, "keep_mib": keep_mib}
        stack = new_stack(overrides={**SETTINGS, "ingest": {**SETTINGS["ingest"], "journal": journal}})
        stack.start_store(template=migrated)
        stack.start_broker()
        made.append(Installation(stack, wire))
        stack.start_analysis()
        return Life(made[-1])

    yield make
    for installation in made:
        installation.close()


@pytest.fixture
def full(started: Callable[..., Life]) -> Full:
    """A worker with a small disk which would keep more stored segments than the disk can hold."""
    life = started(64)
    found = Full(life, Disk(life.stack))
    found.ingest.start()
    found.ingest.wait_ready(lambda: is_ready(found.port), 30, "ready")
    return found


def why_unready(port: int) -> str:
    """What /readyz says is missing."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_with_a_full_disk_the_worker_leaves_the_broker_and_loses_nothing(full: Full) -> None:
    """The database is away, so nothing can be given up. Killed in between, it starts, stays away, and returns when there is room."""
    full.life.publish(20)
    full.life.wait_stored()
    full.life.installation.forget_sessions()
    full.life.stack.postgres.stop()
    full.disk.fill()
    full.life.publish(1000, size=REPORT_BYTES)
    full.wait_metric("journal_full", 1)
    full.wait_metric("broker_connected", 0)
    assert "the journal's disk is full" in why_unready(full.port)
    assert full.said("away from the broker until there is room") == 1
    full.life.publish(10)  # waits in the broker
    full.life.installation.kill9(INGEST)
    full.ingest.start()
    full.wait_metric("journal_full", 1)
    full.wait_metric("broker_connected", 0)
    assert full.said("msg=subscribed") == 0
    full.life.stack.postgres.start()
    full.wait_metric("store_connected", 1)  # what the journal has is stored, and then given up for room
    full.wait_metric("broker_connected", 1)
    full.wait_metric("journal_full", 0)
    full.life.publish(1000, size=REPORT_BYTES)
    full.disk.make_room()
    full.life.publish(20)
    full.finish()


def test_the_worker_returns_when_somebody_frees_the_disk(full: Full) -> None:
    """The database stays away longer than the disk is full."""
    full.life.installation.forget_sessions()
    full.life.stack.postgres.stop()
    full.disk.fill()
    full.life.publish(1000, size=REPORT_BYTES)
    full.wait_metric("journal_full", 1)
    full.disk.make_room()
    full.wait_metric("journal_full", 0)
    full.wait_metric("broker_connected", 1)
    full.life.stack.postgres.start()
    full.life.publish(10)
    full.finish()


def test_stored_segments_are_given_up_before_the_broker_is_left(full: Full) -> None:
    """The journal would keep more than fits: it goes on in the room that it has."""
    full.life.publish(4000, size=REPORT_BYTES)  # more than the whole disk
    full.life.wait_stored()
    assert full.said("a stored journal segment is given up for room") > 0
    full.finish()


def expect_damage(life: Life, damaged: Path, behind: Path) -> int:
    """The operator's command tells where it is. Returns the first record that cannot be read."""
    shown = json.loads(life.stack.vedette("journal", "inspect", "--json"))
    (segment,) = [segment for segment in shown["segments"] if segment["state"] != "whole"]
    assert (segment["file"], segment["state"], segment["missing_to"]) == (damaged.name, "damaged", int(behind.stem, 16))
    record = segment["damaged_record"]
    assert segment["first_record"] < record < segment["missing_to"] and record == segment["last_record"] + 1
    with pytest.raises(StackError, match=f"damaged in 1 of [0-9]+ segments, first in {damaged} at record {record}"):
        life.stack.vedette("journal", "verify")
    return int(record)


def test_damaged_records_are_lost_and_said_and_the_worker_goes_on(started: Callable[..., Life]) -> None:
    """A byte of a record that was acknowledged is another when it is read: a row, an alert, gaps, and no stall."""
    life = started(0)
    life.stack.start_ingest()
    life.publish(20)
    life.wait_stored()
    life.installation.forget_sessions()
    life.stack.postgres.stop()
    life.publish(2000, size=REPORT_BYTES)
    assert wait_until(lambda: len(list(life.journal().glob("*.vdj"))) >= 3, books.END_S)
    life.installation.kill9(INGEST)
    damaged, behind = sorted(life.journal().glob("*.vdj"))[1:3]
    with damaged.open("r+b") as file:
        file.seek(damaged.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    first_lost = expect_damage(life, damaged, behind)
    life.stack.processes[INGEST].start()
    life.stack.postgres.start()
    books.wait_rows(life.installation, "SELECT count(*) FROM store.batch WHERE kind = 'lost'", expect=[(1,)])
    ((feed, kind, lost),) = life.ends()
    assert (feed, kind) == (1, "lost")
    assert books.ask(life.installation, "SELECT first_record, next_record FROM store.batch WHERE kind = 'lost'") == [
        (first_lost, int(behind.stem, 16))]
    life.publish(20)
    life.wait_stored(but=lost)
    life.expect_alive()
    books.finish(life.installation)
    books.check(life.installation)
    assert [alert[1] for alert in life.alerts()] == ["records lost"]
    assert sum(map(len, life.missing().values())) == lost
    assert set(life.missing()) <= set(DEVICES)


# --- vedette journal


def test_a_journal_can_be_looked_at_while_it_is_written(started: Callable[..., Life]) -> None:
    """Nothing is damaged at any moment, nothing is changed, no payload is shown."""
    life = started(64)
    life.stack.start_ingest()
    for _ in range(10):
        life.publish(400, size=REPORT_BYTES)
        assert ": all whole" in life.stack.vedette("journal", "verify")
    life.wait_stored()
    messages = life.published * len(DEVICES) + 10 * len(DEVICES)
    shown = json.loads(life.stack.vedette("journal", "inspect", "--json"))
    assert shown["fine"] and shown["records"] == messages
    assert [segment["state"] for segment in shown["segments"]] == ["whole"] * len(shown["segments"])
    assert len(shown["segments"]) == len(list(life.journal().glob("*.vdj"))) > 3
    records = [json.loads(line) for line in life.stack.vedette("journal", "inspect", "--records", "--json").splitlines()]
    assert [record["record"] for record in records] == list(range(messages))
    assert {record["topic"] for record in records} == {f"vedette/v1/{name}/{kind}" for name in DEVICES
                                                      for kind in ("report", "connectivity")}
    assert "xxxxxxxx" not in life.stack.vedette("journal", "inspect", "--records")


def test_a_journal_of_anything_can_be_looked_at(started: Callable[..., Life]) -> None:
    """On files that are no segments, cut off, torn, of other journals or not files at all."""
    life = started(64)
    life.stack.start_ingest()
    life.publish(2000, size=REPORT_BYTES)
    life.wait_stored()
    books.stop_cleanly(life.installation, INGEST)
    names = sorted(path.name for path in life.journal().glob("*.vdj"))
    assert len(names) >= 4
    copy = life.stack.account.folder(life.stack.folder / "copy", 0o755)
    shutil.copytree(life.journal(), copy, dirs_exist_ok=True)
    (copy / "00000000ffffff00.vdj").write_bytes(os.urandom(5000))
    (copy / "00000000ffffff01.vdj").mkdir()
    os.mkfifo(copy / "00000000ffffff02.vdj")
    (copy / "00000000ffffff03.vdj").write_bytes((copy / names[0]).read_bytes())
    with (copy / "00000000ffffff04.vdj").open("wb") as file:
        file.truncate(1 << 40)
    os.truncate(copy / names[1], 400_000)
    (copy / "00000000ffffff05.vdj").write_bytes(b"")
    for path in copy.iterdir():
        life.stack.account.own(path)
    shown = json.loads(life.stack.vedette("journal", "inspect", copy, "--json"))
    states = {segment["file"]: segment["state"] for segment in shown["segments"]}
    assert states[names[0]] == states[names[2]] == "whole" and states[names[-1]] == "damaged"  # numbers are missing behind it
    assert states[names[1]] == "unusable"
    assert [state for name, state in states.items() if name.startswith("00000000ffffff0")] == ["unusable"] * 5 + ["unbegun"]
    with pytest.raises(StackError, match="damaged in 7 of"):
        life.stack.vedette("journal", "verify", copy)
    assert "cannot be used" in life.stack.vedette("journal", "inspect", copy)
    with pytest.raises(StackError, match="is no journal"):
        life.stack.vedette("journal", "inspect", life.stack.logs)
    with pytest.raises(StackError, match="No such file"):
        life.stack.vedette("journal", "inspect", life.stack.folder / "nowhere")


def test_a_torn_end_is_told_and_is_no_damage(started: Callable[..., Life]) -> None:
    """What a power cut leaves: the next start cuts it off."""
    life = started(64)
    life.stack.start_ingest()
    life.publish(5)
    life.wait_stored()
    life.installation.kill9(INGEST)
    (segment,) = life.journal().glob("*.vdj")
    shown = json.loads(life.stack.vedette("journal", "inspect", "--json"))
    with segment.open("r+b") as file:
        file.seek(shown["segments"][0]["used_bytes"])
        file.write(b"torn")
    assert f"follow record {shown['records']}; the next start cuts them off" in life.stack.vedette("journal", "verify")
    life.stack.start_ingest()
    assert "torn tail of the journal cut off" in life.stack.processes[INGEST].log_text()
    assert "torn" not in life.stack.vedette("journal", "inspect")
