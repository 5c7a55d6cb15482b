"""What scripted faults of connections, clocks and values look like in the store, beside what the simulator says that it did."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from deploy.local.stack import Simulation
from support import Installation

ADMIN = "vedette_admin"
ONLINE, OFFLINE = 1, 2  # vedette.v1.ConnectivityState
CADENCE_S = 0.2
LASTS_S = 8
SCENARIO = f"""
version: 1
defaults: {{start: 2, duration: {LASTS_S}}}
faults:
- {{name: radio, kind: loss, devices: [1], share: 0.4, burst: 2}}
- {{name: stuck, kind: frozen, devices: [2], expect: none}}
- {{name: contact, kind: flap, devices: [3], every: 2, down: 0.3, expect: link lost}}
- {{name: owner, kind: unplug, devices: [4], duration: 2, how: goodbye}}
- {{name: night, kind: unplug, devices: [5], duration: 1, nights: true, period: 3}}
- {{name: told, kind: pace, devices: [6], factor: 0.25, announce: true}}
- {{name: fast, kind: clock, devices: [7], drift: 100000}}
- {{name: dying, kind: drain, devices: [8], rate: 18000}}
- {{name: stubborn, kind: rejoin, devices: [9], after: 1.5}}
"""


def credential(number: int) -> str:
    """Name of a simulated device."""
    return f"sim-{number:05}"


class Truth:
    """The last line of each fault on each device in the simulator's truth file; nights are numbered."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, fault: str) -> list[dict[str, Any]]:
        """Its lines, by begin."""
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        whole = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return list({row["start"]: row for row in whole if row["fault"] == fault}.values())

    def over(self, fault: str) -> int:
        """How often it has begun and ended."""
        return sum(row["end"] is not None for row in self.rows(fault))

    def span(self, fault: str) -> tuple[datetime, datetime]:
        """When it began and ended, the first time."""
        row = self.rows(fault)[0]
        return datetime.fromisoformat(row["start"]), datetime.fromisoformat(row["end"])


@pytest.fixture
def truth(stack: Installation) -> Truth:
    """Devices that report into the store while all faults of the scenario come and go; then everything that they sent is stored."""
    scenario = stack.stack.folder / "scenario.yaml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    simulation = stack.stack.reachable(Simulation(9, scenario=scenario))
    stack.stack.register_simulated(simulation)
    stack.stack.start_ingest()
    sim = stack.stack.start_simulator(simulation, "--cadence", str(CADENCE_S), "--backoff", "0.1:0.2")
    found = Truth(stack.stack.truth)
    stack.wait(lambda: found.rows("stubborn"))
    take_session(stack, credential(9))
    stack.wait(lambda: found.over("night") >= 3 and all(map(found.over, ("radio", "stuck", "contact", "told", "fast", "dying"))))
    stack.wait_for("SELECT count(*) FROM vedette.event WHERE credential = %s", credential(6), expect=2)
    stack.wait_for("SELECT count(DISTINCT credential) FROM vedette.report WHERE received > %s", found.span("dying")[1], expect=9)
    assert sim.stop() == 0, sim.failure()
    # Some that a device had forgotten when it came back may be stored too.
    stack.wait(lambda: stack.value("SELECT count(*) FROM vedette.report") >= status(stack)["acknowledged"])
    stack.wait(lambda: len(connectivity(stack, 4)) == 4)
    return found


def status(stack: Installation) -> dict[str, Any]:
    """The simulator's counters."""
    return dict(json.loads(stack.stack.sim_status.read_text(encoding="utf-8")))


def take_session(stack: Installation, name: str) -> None:
    """Connects under a device's own name: the broker throws the device out, until it comes back and throws us out."""
    client = stack.device(name)
    stack.wait(lambda: not client.connected.is_set())


def connectivity(stack: Installation, number: int) -> list[tuple[Any, ...]]:
    """A device's connectivity messages in order: state, reason, boot, connection, received."""
    return stack.query("SELECT c.state, c.reason, c.boot, c.connection, c.received FROM store.connectivity c"
                       " JOIN store.device d ON d.id = c.device WHERE d.credential = %s ORDER BY c.boot, c.connection, c.state",
                       credential(number), role=ADMIN)


def births(stack: Installation, number: int) -> list[tuple[Any, ...]]:
    """Boot and connection number of each time it came online."""
    return [(boot, connection) for state, _, boot, connection, _ in connectivity(stack, number) if state == ONLINE]


def values(stack: Installation, number: int, metric: str, since: datetime, until: datetime) -> list[float]:
    """What it said of a metric, in order."""
    return [value for (value,) in stack.query(
        "SELECT value FROM vedette.sample WHERE credential = %s AND metric = %s AND received BETWEEN %s AND %s ORDER BY sequence",
        credential(number), metric, since, until)]


def test_faults_leave_their_marks(stack: Installation, truth: Truth) -> None:
    """One run for all of them: each is on a device of its own."""
    check_loss(stack)
    check_frozen(stack, truth)
    check_flap(stack, truth)
    check_unplugged(stack)
    check_pace(stack, truth)
    check_drift(stack, truth)
    check_drain(stack, truth)
    check_rejoin(stack)


def check_loss(stack: Installation) -> None:
    """What was lost on the way is a hole in the numbering, to the report; nobody else has one."""
    vanished = status(stack)["vanished"]
    assert vanished > 0
    assert stack.query("SELECT credential, sum(missing)::int FROM vedette.sequence_gap GROUP BY 1") == [(credential(1), vanished)]


def check_frozen(stack: Installation, truth: Truth) -> None:
    """Values repeat, numbers and times go on."""
    since, until = truth.span("stuck")
    middle = values(stack, 2, "temperature", since, until)
    assert len(middle) > LASTS_S and len(set(middle[1:-1])) == 1  # receipt is a moment after: the first and the last may be others
    assert len(set(values(stack, 2, "temperature", datetime.min, datetime.max))) > 3
    assert truth.rows("stuck")[0]["expect"] == "none"


def check_flap(stack: Installation, truth: Truth) -> None:
    """Several births of one boot, and a will for each connection but the last."""
    seen = births(stack, 3)
    assert len(seen) >= LASTS_S / 2 and len({boot for boot, _ in seen}) == 1
    wills = [row for row in connectivity(stack, 3) if row[:2] == (OFFLINE, "will")]
    assert len(wills) == len(seen) - 1
    assert truth.rows("contact")[0]["expect"] == "link lost" and "expect" not in truth.rows("radio")[0]


def check_unplugged(stack: Installation) -> None:
    """With a goodbye or without, and each night: it comes back as a new boot."""
    kinds = [row[:2] for row in connectivity(stack, 4)]
    assert kinds == [(ONLINE, ""), (OFFLINE, "shutdown")] * 2  # the second goodbye is the simulator's end
    assert len({boot for boot, _ in births(stack, 4)}) == 2
    nights = births(stack, 5)
    assert len(nights) >= 3 and len({boot for boot, _ in nights}) == len(nights)
    assert [row[:2] for row in connectivity(stack, 5)].count((OFFLINE, "will")) >= 3


def check_pace(stack: Installation, truth: Truth) -> None:
    """A quarter of the reports, announced before and after."""
    since, until = truth.span("told")
    assert 0.5 < len(values(stack, 6, "temperature", since, until)) / (LASTS_S / CADENCE_S / 4) < 1.6
    events = stack.query("SELECT kind, subject FROM vedette.event WHERE credential = %s", credential(6))
    assert events == [("configuration changed", "cadence")] * 2


def check_drift(stack: Installation, truth: Truth) -> None:
    """The device's clock runs away from ours: by a tenth of the time that has passed, until the end."""
    ((begin, end),) = stack.query(
        "SELECT min(ahead), max(ahead) FROM (SELECT extract(epoch FROM time - received)::float8 AS ahead FROM vedette.report"
        " WHERE credential = %s AND received BETWEEN %s AND %s) a", credential(7), *truth.span("fast"))
    assert begin < 0.1 * LASTS_S / 4 and 0.1 * LASTS_S / 2 < end <= 0.1 * LASTS_S + 0.05


def check_drain(stack: Installation, truth: Truth) -> None:
    """The battery falls by 5 % a second, never below nothing, and is as before at the end."""
    since, until = truth.span("dying")
    before = values(stack, 8, "battery", datetime.min, since)[0]
    during = values(stack, 8, "battery", since, until)[:-1]
    assert during == sorted(during, reverse=True) and min(during) >= 0
    assert during[0] - during[-1] > min(before, 5 * LASTS_S) * 0.6
    assert abs(values(stack, 8, "battery", until, datetime.max)[-1] - before) < 1


def check_rejoin(stack: Installation) -> None:
    """Thrown out, it came back after its own time and not after the back-off."""
    rows = connectivity(stack, 9)
    lost = next(row[4] for row in rows if row[:2] == (OFFLINE, "will"))
    back = next(row[4] for row in rows if row[0] == ONLINE and row[4] > lost)
    assert 1.2 < (back - lost).total_seconds() < 5
