"""Simulated devices keep their reports until a notice says that they are stored. The test plays Vedette, and a hostile one."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from keeping import Keepers
from support import Client, Installation

BOOT = 7
NEVER = 10**6
FAST = ("--boot-counter", str(BOOT), "--cadence", "0.05", "--connect-rate", "1000", "--resend-after", "0.5")


class Vedette(Client):
    """Takes reports as an ingest worker does, and says what is stored: every report that comes for the `losing` + 1st time."""

    def __init__(self, installation: Installation, *, losing: int = 0) -> None:
        stack = installation.stack
        super().__init__(stack.ports.ingest, stack.authority.ca, stack.folder / "pki" / "ingest.crt", client_id="vedette/ingest-1")
        self.losing = losing
        self.seen: dict[str, list[int]] = defaultdict(list)  # sequences as they came
        self.payloads: dict[tuple[str, int], set[bytes]] = defaultdict(set)
        self.reports: dict[str, list[Any]] = defaultdict(list)
        self._wire = installation.wire
        self._floor: dict[str, int] = defaultdict(lambda: 1)
        self._mqtt.on_message = self._on_message

    def begin(self) -> None:
        """Connects and subscribes."""
        assert self.connect()
        self.subscribe("vedette/v1/+/report")

    def say(self, credential: str, payload: bytes) -> None:
        """Publishes a notice."""
        self._mqtt.publish(f"vedette/v1/{credential}/notice", payload, qos=0)

    def stored_up_to(self, sequence: int, **boot: int) -> bytes:
        """The notice that says it."""
        v1 = self._wire.v1
        stored = v1.Notice.StoredUpTo(sequence=sequence, **(boot or {"boot_counter": BOOT}))
        return bytes(v1.Notice(stored_up_to=stored).SerializeToString())

    def stored(self, credential: str) -> int:
        """Up to where everything that the device still keeps has come often enough."""
        up_to = self._floor[credential] - 1
        while self.seen[credential].count(up_to + 1) > self.losing:
            up_to += 1
        return up_to

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        credential = message.topic.split("/")[2]
        report = self._wire.v1.Report.FromString(message.payload)
        self.seen[credential].append(report.sequence)
        self.payloads[credential, report.sequence].add(message.payload)
        self.reports[credential].append(report)
        self._floor[credential] = max(self._floor[credential], report.kept_from)
        if self.losing < NEVER:
            self.say(credential, self.stored_up_to(self.stored(credential)))


@pytest.fixture
def vedettes(broker: Installation) -> Iterator[list[Vedette]]:
    """Those that a test makes, closed after it."""
    made: list[Vedette] = []
    yield made
    for one in made:
        one.close()


def vedette(broker: Installation, vedettes: list[Vedette], losing: int = 0) -> Vedette:
    """One that has subscribed."""
    vedettes.append(Vedette(broker, losing=losing))
    vedettes[-1].begin()
    return vedettes[-1]


def ended(broker: Installation, keepers: Keepers) -> tuple[int | None, str]:
    """Waits for the end of the simulator; its exit code and log."""
    broker.wait(lambda: not keepers.process.alive(), 60)
    return keepers.process.exit_code(), keepers.process.log_text()


def check_same_bytes(one: Vedette) -> None:
    """What is sent again is the same to the byte."""
    assert all(len(payloads) == 1 for payloads in one.payloads.values())


def test_what_is_confirmed_is_sent_once(broker: Installation, vedettes: list[Vedette]) -> None:
    """Every report asks for confirmation and says from where on its device keeps."""
    one = vedette(broker, vedettes)
    keepers = Keepers(broker, 3, *FAST, "--count", "90", "--resend-after", "20")
    keepers.start()
    code, log = ended(broker, keepers)
    assert code == 0, log
    assert keepers.kept() | {"notices": 0} == {"now": 0, "stored": 90, "dropped": 0, "resent": 0, "notices": 0, "bad_notices": 0,
                                               "refused": {}}
    for credential in keepers.credentials:
        assert one.seen[credential] == list(range(1, len(one.seen[credential]) + 1))
        assert all(report.wants_stored and 1 <= report.kept_from <= report.sequence for report in one.reports[credential])
        assert one.reports[credential][-1].kept_from > 1
    assert sum(map(len, one.seen.values())) == 90


def test_what_is_not_confirmed_is_sent_again_in_order(broker: Installation, vedettes: list[Vedette]) -> None:
    """Each report is lost twice; a report carries the oldest sequence that is kept."""
    one = vedette(broker, vedettes, losing=2)
    keepers = Keepers(broker, 2, *FAST, "--count", "40")
    keepers.start()
    code, log = ended(broker, keepers)
    assert code == 0, log
    assert keepers.kept()["stored"] == 40 and keepers.kept()["resent"] >= 80
    check_same_bytes(one)
    for credential in keepers.credentials:
        last = max(one.seen[credential])
        first_time = [sequence for at, sequence in enumerate(one.seen[credential]) if sequence not in one.seen[credential][:at]]
        assert first_time == list(range(1, last + 1))
    assert sum(max(sequences) for sequences in one.seen.values()) == 40


def test_a_killed_broker_costs_nothing(broker: Installation, vedettes: list[Vedette]) -> None:
    """Back on the broker, all that is kept is sent again, although the broker had acknowledged it."""
    keepers = Keepers(broker, 3, *FAST, "--count", "300")
    keepers.start()
    broker.wait(lambda: keepers.kept()["now"] > 30)
    broker.kill9("mosquitto")  # with all that came so far: nobody had subscribed
    broker.stack.broker.process.start()
    broker.stack.broker.process.wait_ready(broker.stack.broker.answers, 15, "listening")
    one = vedette(broker, vedettes)
    code, log = ended(broker, keepers)
    assert code == 0, log
    assert keepers.kept()["stored"] == 300 and keepers.kept()["resent"] > 30
    assert keepers.status()["connections_lost"] == 3
    check_same_bytes(one)
    assert sum(max(sequences) for sequences in one.seen.values()) == 300
    for sequences in one.seen.values():
        assert set(sequences) == set(range(1, max(sequences) + 1))


def test_nothing_is_confirmed(broker: Installation, vedettes: list[Vedette]) -> None:
    """The list is bounded, its oldest makes room, and the end says what is missing."""
    one = vedette(broker, vedettes, losing=NEVER)
    keepers = Keepers(broker, 2, *FAST, "--count", "50", "--keep-limit", "8:100000", "--linger", "2")
    keepers.start()
    code, log = ended(broker, keepers)
    assert code == 1
    assert "not all reports are confirmed as stored" in log and "unconfirmed=16 devices=2" in log
    kept = keepers.kept()
    assert (kept["now"], kept["stored"], kept["dropped"]) == (16, 0, 34)
    assert 16 <= kept["resent"] <= 200  # at once, then ever more seldom
    check_same_bytes(one)
    for credential in keepers.credentials:
        last = max(one.reports[credential], key=lambda report: int(report.sequence))
        assert last.kept_from == last.sequence - 7


def test_memory_lost(broker: Installation, vedettes: list[Vedette]) -> None:
    """A device that starts anew has forgotten what it kept, and counts it."""
    vedette(broker, vedettes, losing=NEVER)
    scenario = broker.stack.folder / "scenario.yaml"
    scenario.write_text("version: 1\nfaults:\n- {name: again, kind: reboot, devices: [1], start: 0.5, down: 0.1, how: hard}\n")
    scenario.chmod(0o644)
    keepers = Keepers(broker, 1, *FAST, "--duration", "3", "--linger", "0.5", "--scenario", str(scenario))
    keepers.start()
    code, log = ended(broker, keepers)
    status = keepers.status()
    assert code == 1, log
    assert status["forgotten"] > 0
    assert status["published"] == status["forgotten"] + status["kept"]["now"]


def test_hostile_notices_do_no_harm(broker: Installation, vedettes: list[Vedette]) -> None:
    """What does not decode, or speaks of what was never made, is counted and ignored; refusals are counted by reason."""
    one = vedette(broker, vedettes, losing=NEVER)
    keepers = Keepers(broker, 1, *FAST, "--count", "20", "--linger", "30")
    keepers.start()
    device = keepers.credentials[0]
    broker.wait(lambda: one.seen[device] and max(one.seen[device]) == 20)
    chance = random.Random(1)
    v1 = broker.wire.v1
    bad = [b"", b"\xff" * 100, bytes(5000), chance.randbytes(1024), one.stored_up_to(21), one.stored_up_to(2**64 - 1),
           one.stored_up_to(20, boot_counter=BOOT + 1), one.stored_up_to(20, boot_random=BOOT), v1.Notice().SerializeToString()]
    for payload in bad:
        one.say(device, payload)
    one.say(device, one.stored_up_to(20, boot_counter=BOOT - 1))  # late, of an earlier start
    for reason, times in ((v1.REASON_VALUE, 2), (v1.REASON_SHED, 1), (77, 1)):
        for _ in range(times):
            one.say(device, v1.Notice(refused=v1.Notice.Refused(reason=reason, detail="x" * 500, sequence=3)).SerializeToString())
    broker.wait(lambda: keepers.kept()["refused"] == {"value": 2, "shed": 1, "unknown": 1})
    assert keepers.kept()["bad_notices"] == len(bad)
    assert keepers.kept()["now"] == 20
    for _ in range(500):
        one.say(device, chance.randbytes(200))
    one.losing = 0
    code, log = ended(broker, keepers)
    assert code == 0, log
    assert keepers.kept()["stored"] == 20
