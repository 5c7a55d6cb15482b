"""Killed without a warning, under load: ingest, analysis, PostgreSQL, Mosquitto.

Nothing that ingest acknowledged may be lost or come twice, and what a killed Mosquitto loses has to show. The moments follow from a seed that a failed test prints; VEDETTE_SEED=<number> repeats them.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import books
import pytest
from deploy.local.processes import wait_until
from deploy.local.stack import Stack, is_ready
from scripted_broker import Message, ScriptedBroker
from support import WAIT_S, Device, Installation, Wire, now_us

RATE = 300.0  # messages a second
DAY_S = 86400
# Large batches: catching up sends more at once than a socket takes. Long windows: what a burst is does not depend on how long the
# programs were away. Checkpoints every second, so that kills meet them.
SETTINGS: dict[str, Any] = {
    "ingest": {"journal": {"segment_mib": 1, "keep_mib": 2}, "batch": {"records": 10000}},
    "analysis": {"checkpoint_s": 1, "rate": {"window_s": 3600},
                 "security": {"window_s": DAY_S, "malformed": 5, "login_failures": 5}},
}
LIMIT = 5
KILLS = {"vedette-ingest": 8, "vedette-analysis": 5, "postgres": 3, "connection": 3}


@pytest.fixture
def seed() -> int:
    """What the random moments follow from."""
    number = int(os.environ.get("VEDETTE_SEED", random.SystemRandom().randrange(10**6)))
    print(f"VEDETTE_SEED={number}")
    return number


@pytest.fixture
def scripted(new_stack: Callable[..., Stack], migrated: Path, wire: Wire) -> Iterator[tuple[Installation, ScriptedBroker]]:
    """PostgreSQL with the schema, and the scripted broker in Mosquitto's place."""
    stack = new_stack(overrides=SETTINGS)
    stack.start_store(template=migrated)
    broker = ScriptedBroker(stack.ports.ingest, stack.authority.ca, stack.folder / "pki" / "server.crt", rate=RATE)
    broker.start()
    installation = Installation(stack, wire)
    yield installation, broker
    installation.close()
    stack.processes["vedette-ingest"].stop()
    broker.stop()


# --- what devices say, and what has to come of it


@dataclass
class Stream:
    """Messages of many devices in the order of their publishing, and what each has to become."""

    wire: Wire
    messages: list[Message] = field(default_factory=list)
    reports: dict[str, set[int]] = field(default_factory=dict)             # sequences of each device
    rejected: dict[str, list[tuple[str, Message]]] = field(default_factory=dict)  # reason and message, of each device
    duplicates: int = 0
    births: int = 0

    def report(self, device: str, sequence: int, *, logins: int = 0, **fields: Any) -> Message:
        """A good report; `logins` failed ones are told in it."""
        kind = self.wire.v1.EVENT_KIND_LOGIN_FAILED
        events = [self.wire.v1.Event(kind=kind, count=logins, subject="admin")] if logins else []
        report = self.wire.report(sequence, {"value": float(sequence), "mode": "auto"}, events=events, **fields)
        return self._add(device, "report", report.SerializeToString())

    def good(self, device: str, sequence: int, *, logins: int = 0) -> Message:
        """A report that has to be stored."""
        self.reports.setdefault(device, set()).add(sequence)
        return self.report(device, sequence, logins=logins)

    def again(self, message: Message) -> None:
        """The same report published once more: a duplicate."""
        self.duplicates += 1
        self.messages.append(Message(message.topic, message.payload))

    def conflict(self, device: str, message: Message) -> None:
        """Another content under the key of an earlier report."""
        other = self.wire.v1.Report()
        other.ParseFromString(message.payload)
        other.samples[0].number += 0.5
        self._reject(device, "conflict", self._add(device, "report", other.SerializeToString()))

    def malformed(self, device: str, number: int) -> None:
        """Bytes that are no report, different each time."""
        self._reject(device, "malformed", self._add(device, "report", b"\xff" + number.to_bytes(4, "big") + b"\xff" * 8))

    def impostor(self, device: str, sequence: int) -> None:
        """A report that claims to be another device's."""
        self._reject(device, "identity", self.report(device, sequence, credential="somebody-else"))

    def birth(self, device: str) -> None:
        """It connects; told twice, as a broker with two subscriptions of ours would."""
        self.births += 1
        v1 = self.wire.v1
        online = v1.Connectivity(state=v1.CONNECTIVITY_STATE_ONLINE, boot_counter=1, connection=1, time=now_us())
        for _ in range(2):
            self._add(device, "connectivity", online.SerializeToString())

    def _add(self, device: str, kind: str, payload: bytes) -> Message:
        self.messages.append(Message(f"vedette/v1/{device}/{kind}", payload))
        return self.messages[-1]

    def _reject(self, device: str, reason: str, message: Message) -> None:
        self.rejected.setdefault(device, []).append((reason, message))


PLAIN, REPEATING, CONFLICTING = ([f"{kind}-{n}" for n in range(8)] for kind in ("plain", "repeats", "conflicts"))
MALFORMED = [f"malformed-{n}" for n in range(6)]      # exactly as many as make a burst …
JUST_BELOW = [f"below-{n}" for n in range(6)]         # … and failed logins, one fewer than make a burst
LOGINS = [f"logins-{n}" for n in range(6)]            # and exactly as many
IMPOSTORS = [f"impostor-{n}" for n in range(3)]
EVERYBODY = PLAIN + REPEATING + CONFLICTING + MALFORMED + JUST_BELOW + LOGINS + IMPOSTORS
REPORTS_EACH = 100


def mixed_stream(wire: Wire, chance: random.Random) -> Stream:
    """All devices take turns by chance; what is special about a device is spread over the whole time."""
    stream = Stream(wire)
    turns = [device for device in EVERYBODY for _ in range(REPORTS_EACH)]
    chance.shuffle(turns)
    special = {device: set(chance.sample(range(2, REPORTS_EACH + 1), LIMIT)) for device in EVERYBODY}
    sequence = dict.fromkeys(EVERYBODY, 0)
    for device in EVERYBODY:
        stream.birth(device)
    for device in turns:
        sequence[device] += 1
        add_turn(stream, device, sequence[device], sequence[device] in special[device], min(special[device]))
    return stream


def add_turn(stream: Stream, device: str, number: int, is_special: bool, first_special: int) -> None:
    """One turn of a device."""
    if device in IMPOSTORS and is_special:
        stream.impostor(device, number)
        return
    below = device in JUST_BELOW and number != first_special
    message = stream.good(device, number, logins=int(is_special and (device in LOGINS or below)))
    if is_special and device in REPEATING:
        stream.again(message)
    elif is_special and device in CONFLICTING:
        stream.conflict(device, message)
    elif is_special and device in MALFORMED:
        stream.malformed(device, number)


def expected_alerts() -> set[tuple[str, str]]:
    """What an undisturbed run raises: device and kind."""
    return ({(device, "malformed burst") for device in MALFORMED} | {(device, "login failures") for device in LOGINS}
            | {(device, "identity mismatch") for device in IMPOSTORS})


# --- kills


def kill_at_random_moments(installation: Installation, broker: ScriptedBroker, total: int, chance: random.Random) -> None:
    """Each kill waits until so many messages were sent, so that it meets some under way. What was killed is started at once."""
    victims = [name for name, times in KILLS.items() for _ in range(times)]
    chance.shuffle(victims)
    moments = sorted(chance.sample(range(total // 50, total * 49 // 50), len(victims)))
    for victim, moment in zip(victims, moments):
        assert wait_until(lambda: broker.sent >= moment or broker.breaches, books.END_S, step=0.0002), (
            f"only {broker.sent} of {total} messages were sent, {moment} were awaited")
        kill_and_start(installation, broker, victim)


def kill_and_start(installation: Installation, broker: ScriptedBroker, victim: str) -> None:
    """SIGKILL, and a start that nobody waits for: the next kill may meet a recovery."""
    if victim == "connection":
        broker.drop()
        return
    process = installation.stack.processes[victim]
    assert process.alive(), process.failure()
    installation.kill9(victim)
    process.start()


# --- checks


def check_reports(installation: Installation, stream: Stream) -> None:
    """Every acknowledged report is stored, and nothing that was never sent. (That none is there twice is in the books.)"""
    found = books.stored(installation)
    lost = {device: len(sent - found.get(device, set())) for device, sent in stream.reports.items()}
    assert not any(lost.values()), lost
    assert found == stream.reports
    assert installation.query("SELECT d.credential, count(*) FROM store.connectivity c JOIN store.device d ON d.id = c.device"
                              " GROUP BY 1 HAVING count(*) <> 1", role=books.ADMIN) == []
    assert installation.value("SELECT count(*) FROM store.connectivity", role=books.ADMIN) == stream.births
    duplicates = installation.value("SELECT sum(duplicates)::int FROM store.batch", role=books.ADMIN)
    redelivered = sum(message.sent - 1 for message in stream.messages)
    print(f"{len(stream.messages)} messages, {redelivered} redeliveries, {duplicates} duplicates")
    assert stream.duplicates + stream.births <= duplicates <= stream.duplicates + stream.births + redelivered


def check_letters(installation: Installation, stream: Stream) -> None:
    """Every acknowledged bad message is a dead letter with its reason: exactly one if it was delivered once, and never more than it
    was delivered (a message without a key cannot be told from another one that is equal)."""
    rows = installation.query("SELECT v.credential, v.reason, l.payload, count(*) FROM vedette.dead_letter v"
                              " JOIN store.dead_letter l USING (batch, record) GROUP BY 1, 2, 3", role=books.ADMIN)
    letters = {(credential, reason, bytes(payload)): count for credential, reason, payload, count in rows}
    for device, bad in stream.rejected.items():
        for reason, message in bad:
            count = letters.pop((device, reason, message.payload), 0)
            assert 1 <= count <= message.sent, f"{count} dead letters ({reason}), delivered {message.sent} times"
    assert letters == {}


def alerts(installation: Installation) -> list[tuple[Any, ...]]:
    """Device, kind, state, count and life of every alert."""
    return installation.query(
        "SELECT a.credential, a.kind, a.state, a.count, (SELECT array_agg(e.change ORDER BY e.place) FROM vedette.alert_event e"
        " WHERE e.device = a.device AND e.alert = a.alert) FROM vedette.alert a ORDER BY 1, 2")


def check_alerts(installation: Installation) -> None:
    """The alerts of an undisturbed run, none twice, none lost, each opened once."""
    assert alerts(installation) == [(device, kind, "open", 1, ["opened"]) for device, kind in sorted(expected_alerts())]


CONCLUSIONS = ("SELECT device, kind, key, state, severity, opened_at, cleared_at, count, sentence, explanation FROM store.alert"
               " ORDER BY device, kind, opened_at",
               "SELECT lane, device, encode(state, 'hex') FROM store.detector_state ORDER BY device",
               "SELECT lane, device, metric, encode(state, 'hex') FROM store.series_state ORDER BY device, metric")


def check_analysis_afresh(installation: Installation) -> None:
    """Analysis of the same batches from nothing, undisturbed, comes to the same alerts and the same states of all detectors: the
    killed one showed them everything exactly once."""
    before = [installation.query(statement, role=books.ADMIN) for statement in CONCLUSIONS]
    with installation.stack.postgres.connect(books.ADMIN) as session, session.cursor() as cursor:
        cursor.execute("TRUNCATE store.analysed_batch, store.checkpoint, store.detector_state, store.series_state, store.connectivity_now,"
                       " store.connectivity_change, store.alert, store.alert_event")
    installation.stack.start_analysis()
    books.wait_analysed(installation)
    books.stop_cleanly(installation, "vedette-analysis")
    after = [installation.query(statement, role=books.ADMIN) for statement in CONCLUSIONS]
    assert before[0] == after[0]
    assert before[1] == after[1]
    assert before[2] == after[2]


# --- (a) everything but the broker


def test_what_ingest_acknowledged_is_stored_and_analysed_exactly_once(
        scripted: tuple[Installation, ScriptedBroker], wire: Wire, seed: int) -> None:
    """Ingest, analysis and PostgreSQL are killed again and again while tens of devices publish."""
    installation, broker = scripted
    chance = random.Random(seed)
    installation.register(*EVERYBODY)
    stream = mixed_stream(wire, chance)
    total = len(stream.messages)
    installation.stack.start_ingest()
    installation.stack.start_analysis()
    broker.play(stream.messages)
    kill_at_random_moments(installation, broker, total, chance)
    assert wait_until(lambda: broker.acknowledged == total or broker.breaches, books.END_S), f"{broker.acknowledged} of {total}"
    assert broker.breaches == []
    installation.stack.postgres.process.wait_ready(installation.stack.postgres.answers, 60, "ready for connections")
    count = sum(map(len, stream.reports.values()))
    books.wait_rows(installation, "SELECT count(*) FROM store.report", expect=[(count,)])
    books.finish(installation)
    books.check(installation)
    check_reports(installation, stream)
    check_letters(installation, stream)
    check_alerts(installation)
    assert broker.connections >= KILLS["vedette-ingest"]
    check_analysis_afresh(installation)


# --- (b) the broker itself


class Publisher(Device):
    """A device that publishes report after report and keeps its own record of what the broker acknowledged."""

    PAUSE_S = 0.02
    MOST_UNDER_WAY = 20

    def __init__(self, installation: Installation, credential: str) -> None:
        super().__init__(installation.stack.ports.devices, installation.stack.authority.ca, installation.certificate(credential),
                         credential)
        self.acknowledged: set[int] = set()
        self.published = 0
        self._wire = installation.wire
        self._sequences: dict[int, int] = {}  # by Paho's number of the message
        self._lock = threading.Lock()         # a PUBACK may come before publish() returns
        self._enough = threading.Event()
        self._mqtt.reconnect_delay_set(1, 1)
        self._mqtt.on_publish = self._on_publish
        self._worker = threading.Thread(target=self._publish, name=f"publisher {credential}", daemon=True)

    def begin(self) -> None:
        """Connects and begins to publish."""
        self._mqtt.connect("127.0.0.1", self._port)
        self._mqtt.loop_start()  # Paho's own thread: it alone may touch the socket while another one publishes
        assert self.connected.wait(WAIT_S)
        self._worker.start()

    def close(self) -> None:
        """Ends it whatever it does."""
        self._enough.set()
        super().close()
        self._mqtt.loop_stop()

    def end(self, more: int) -> None:
        """Stops the stream, and publishes a few more reports: a gap is seen when a later report arrives."""
        self._enough.set()
        self._worker.join()
        for _ in range(more):
            self._publish_one()

    def _publish(self) -> None:
        while not self._enough.wait(self.PAUSE_S):
            if self.published - len(self.acknowledged) < self.MOST_UNDER_WAY:
                self._publish_one()

    def _publish_one(self) -> None:
        with self._lock:
            self.published += 1
            payload = self._wire.report(self.published).SerializeToString()
            token = self._mqtt.publish(f"vedette/v1/{self.credential}/report", payload, qos=1)
            self._sequences[token.mid] = self.published

    def _on_publish(self, _client: object, _data: object, mid: int) -> None:
        with self._lock:
            self.acknowledged.add(self._sequences.pop(mid))


PUBLISHERS = [f"publisher-{n}" for n in range(8)]
ROUNDS = 4
TAIL = 3


def kill_mosquitto(installation: Installation, publishers: list[Publisher], chance: random.Random, *, queued: bool) -> None:
    """Kills it after some more acknowledgements; `queued`: while ingest is dead and the broker holds what it acknowledged."""
    def acknowledged() -> int:
        return sum(len(publisher.acknowledged) for publisher in publishers)

    mosquitto, ingest = (installation.stack.processes[name] for name in ("mosquitto", "vedette-ingest"))
    wanted = acknowledged() + chance.randrange(200, 600)
    assert wait_until(lambda: acknowledged() >= wanted, books.END_S, step=0.001)
    if queued:
        installation.kill9("vedette-ingest")
        wanted = acknowledged() + chance.randrange(50, 150)
        assert wait_until(lambda: acknowledged() >= wanted, books.END_S, step=0.001)
    installation.kill9("mosquitto")
    mosquitto.start()
    mosquitto.wait_ready(installation.stack.broker.answers, 15, "listening")
    if queued:
        ingest.start()


def test_what_a_killed_mosquitto_loses_is_counted_as_gaps(stack: Installation, seed: int) -> None:
    """Mosquitto acknowledges to devices before it saves. Exactly what is missing is shown, nothing else is."""
    chance = random.Random(seed)
    stack.register(*PUBLISHERS)
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    publishers = [Publisher(stack, credential) for credential in PUBLISHERS]
    try:
        for publisher in publishers:
            publisher.begin()
        stack.wait_for("SELECT count(DISTINCT publisher) FROM vedette.report", expect=len(PUBLISHERS))
        for number in range(ROUNDS):
            kill_mosquitto(stack, publishers, chance, queued=number % 2 == 1)
        ingest = stack.stack.processes["vedette-ingest"]
        ingest.wait_ready(lambda: is_ready(stack.stack.ports.ingest_http), 30, "subscribed")
        for publisher in publishers:
            publisher.end(TAIL)
        stack.wait(lambda: all(len(one.acknowledged) == one.published for one in publishers), books.END_S)
    finally:
        for publisher in publishers:
            publisher.close()
    for publisher in publishers:
        books.wait_rows(stack, "SELECT max(sequence) FROM vedette.report WHERE credential = %s", publisher.credential,
                        expect=[(publisher.published,)])
    books.finish(stack)
    books.check(stack)
    check_losses(stack, publishers)


def check_losses(installation: Installation, publishers: list[Publisher]) -> None:
    """What devices know to be acknowledged is stored or in a gap; the gaps hold nothing else."""
    found, missing = books.stored(installation), books.gaps(installation)
    lost = 0
    for publisher in publishers:
        credential = publisher.credential
        assert publisher.acknowledged == set(range(1, publisher.published + 1))
        assert publisher.acknowledged - found[credential] == missing.get(credential, set()), credential
        assert found[credential] <= publisher.acknowledged
        lost += len(missing.get(credential, ()))
    print(f"{sum(one.published for one in publishers)} reports acknowledged to devices, Mosquitto lost {lost}")
    assert lost > 0, "Mosquitto lost nothing: this test did not test anything"


# --- (c) the database away for long

AWAY = 6000     # messages, at the rate of RATE
PADDING = 1500  # bytes of a report, so that holding them in memory would show
MEMORY_MIB = 6  # how much ingest may grow while it is away; the messages of that time are 9 MiB
BATCH_MIB = 64  # and what the largest batches may take afterwards


def memory_mib(pid: int) -> float:
    """Memory of a process that is not a mapped file (the journal is one)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def test_database_away_for_long_under_load(scripted: tuple[Installation, ScriptedBroker], wire: Wire,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest goes on acknowledging into its journal with its memory flat, and stores everything when the database is back."""
    options = os.environ.get("ASAN_OPTIONS", "")
    monkeypatch.setenv("ASAN_OPTIONS", f"{options}:quarantine_size_mb=1".lstrip(":"))  # freed memory is not kept for long
    installation, broker = scripted
    installation.register(*PLAIN)
    stream = Stream(wire)
    for number in range(AWAY + 2000):
        device, sequence = PLAIN[number % len(PLAIN)], number // len(PLAIN) + 1
        stream.reports.setdefault(device, set()).add(sequence)
        report = wire.report(sequence, {f"text/{n}": "x" * 250 for n in range(PADDING // 250)})
        stream.messages.append(Message(f"vedette/v1/{device}/report", report.SerializeToString()))
    ingest = installation.stack.start_ingest()
    installation.stack.start_analysis()
    broker.play(stream.messages)
    stack_messages = iter((1000, 1500, AWAY + 1000))

    def await_acknowledged() -> None:
        target = next(stack_messages)
        assert wait_until(lambda: broker.acknowledged >= target, books.END_S), f"{broker.acknowledged} of {target}"

    await_acknowledged()
    installation.kill9("postgres")
    gone_at = time.monotonic()
    await_acknowledged()
    before = memory_mib(ingest.pid)
    await_acknowledged()
    after = memory_mib(ingest.pid)
    waiting = books.metric(installation.stack.ports.ingest_http, "vedette_ingest_journal_records")
    print(f"database away for {time.monotonic() - gone_at:.1f} s: {waiting:.0f} records wait;"
          f" {before:.1f} MiB of memory, then {after:.1f} MiB")
    assert waiting >= AWAY
    assert after - before < MEMORY_MIB
    installation.stack.postgres.start()
    assert wait_until(lambda: broker.acknowledged == len(stream.messages), books.END_S)
    books.wait_rows(installation, "SELECT count(*) FROM store.report", expect=[(len(stream.messages),)])
    recovered = memory_mib(ingest.pid)
    print(f"after recovery {recovered:.1f} MiB")
    assert recovered - before < BATCH_MIB
    assert broker.breaches == [] and broker.connections == 1
    books.finish(installation)
    books.check(installation)
    check_reports(installation, stream)
    assert alerts(installation) == []
