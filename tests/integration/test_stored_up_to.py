"""A killed broker loses what it acknowledged to devices. Devices that keep their reports until they are stored lose nothing by it."""

from __future__ import annotations

import os
import random

import books
from deploy.local.stack import is_ready
from keeping import Keepers
from support import Installation

DEVICES = 6
COUNT = 2500
BOOT = 3


def start_broker(installation: Installation) -> None:
    """Starts it again with what it had saved."""
    installation.stack.broker.process.start()
    installation.stack.broker.process.wait_ready(installation.stack.broker.answers, 15, "listening")


def start_ingest(installation: Installation) -> None:
    """Starts it again and waits until it has subscribed."""
    process = installation.stack.processes["vedette-ingest"]
    process.start()
    process.wait_ready(lambda: is_ready(installation.stack.ports.ingest_http), 30, "subscribed")


class Kills:
    """Kills while the devices report, at moments that follow from a seed."""

    def __init__(self, installation: Installation, keepers: Keepers, chance: random.Random) -> None:
        self.installation = installation
        self.keepers = keepers
        self.chance = chance
        self.lost = 0  # at least so many reports that the broker had acknowledged

    def await_more(self, least: int) -> int:
        """Waits until the broker has acknowledged more; returns how many at least."""
        before = self.keepers.status()["acknowledged"]
        wanted = before + least + self.chance.randrange(least)
        self.installation.wait(lambda: self.keepers.status()["acknowledged"] >= wanted)
        return int(self.keepers.status()["acknowledged"] - before)

    def broker(self) -> None:
        """The broker alone."""
        self.await_more(60)
        self.installation.kill9("mosquitto")
        start_broker(self.installation)

    def broker_with_a_queue(self, *, ingest_first: bool) -> None:
        """The broker with all that waits for a worker that was killed. Nothing of it was saved."""
        self.await_more(60)
        self.installation.kill9("vedette-ingest")
        self.lost += self.await_more(60)
        self.installation.kill9("mosquitto")
        start_broker(self.installation)
        if not ingest_first:  # nobody has subscribed: the broker acknowledges and forgets
            self.installation.wait(lambda: self.keepers.status()["connected"] == DEVICES)
            self.lost += self.await_more(30)
        start_ingest(self.installation)

    def both(self) -> None:
        """Both at one moment."""
        self.await_more(60)
        self.installation.kill9("mosquitto")
        self.installation.kill9("vedette-ingest")
        start_broker(self.installation)
        start_ingest(self.installation)


def test_no_report_is_lost_when_the_broker_is_killed(stack: Installation) -> None:
    """Broker and ingest are killed again and again; every report that a device made is stored once, and the devices know it."""
    seed = int(os.environ.get("VEDETTE_SEED", random.SystemRandom().randrange(10**6)))
    print(f"VEDETTE_SEED={seed}")
    keepers = Keepers(stack, DEVICES, "--boot-counter", str(BOOT), "--cadence", "0.03", "--connect-rate", "1000", "--count",
                      str(COUNT), "--resend-after", "3", "--linger", "60")
    stack.register(*keepers.credentials)
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    keepers.start()
    kills = Kills(stack, keepers, random.Random(seed))
    kills.broker()
    kills.broker_with_a_queue(ingest_first=True)
    kills.both()
    kills.broker_with_a_queue(ingest_first=False)
    kills.broker()
    stack.wait(lambda: not keepers.process.alive(), books.END_S)
    kept = keepers.kept()
    print(f"at least {kills.lost} acknowledged reports lost by the broker, {kept['resent']} sent again")
    assert keepers.process.exit_code() == 0, keepers.process.log_text()
    assert (kept["now"], kept["stored"], kept["dropped"], kept["refused"]) == (0, COUNT, 0, {})
    assert kept["resent"] >= kills.lost > 0
    assert keepers.status()["connections_lost"] >= 5 * DEVICES
    books.finish(stack)
    books.check(stack)
    stored = books.stored(stack)
    assert set(stored) == set(keepers.credentials)
    assert all(sequences == set(range(1, max(sequences) + 1)) for sequences in stored.values())
    assert sum(map(len, stored.values())) == COUNT
    assert stack.query("SELECT * FROM vedette.sequence_gap") == []


def test_all_of_many_devices_are_told_at_once(stack: Installation) -> None:
    """More devices than the hundred messages that Paho buffers unless told otherwise: nobody has to ask again."""
    keepers = Keepers(stack, 150, "--cadence", "2", "--connect-rate", "1000", "--count", "450", "--resend-after", "40")
    keepers.register()
    stack.stack.start_ingest()
    keepers.start()
    stack.wait(lambda: not keepers.process.alive(), books.END_S)
    kept = keepers.kept()
    assert keepers.process.exit_code() == 0, keepers.process.log_text()
    assert (kept["now"], kept["stored"], kept["resent"]) == (0, 450, 0)
    assert books.metric(stack.stack.ports.ingest_http, "vedette_ingest_notices_withheld_total") == 0
