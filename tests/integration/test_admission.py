"""Admission: one device that floods is cut, the others and what is urgent are not, and every message is accounted for."""

from __future__ import annotations

import json

from support import Installation, now_us

BURST = 200  # telemetry may use nine tenths of it, events and connectivity all
FLOOD = 1000


def limit(stack: Installation, **rates: int) -> None:
    """Writes the configuration with other rates."""
    stack.stack.overrides = {"ingest": {"admission": {"device_rate": 1, "device_burst": BURST, **rates}}}
    stack.stack.write_config()


def flood(stack: Installation, credential: str, count: int = FLOOD) -> None:
    """Publishes reports as fast as the broker takes them; all with one device time, which earns nothing."""
    device = stack.device(credential)
    at = now_us()
    for sequence in range(1, count):
        device.send_nowait(stack.wire.report(sequence, {"n": sequence}, at=at))
    device.send(stack.wire.report(count, {"n": count}, at=at))


def test_a_flood_is_shed_and_counted(stack: Installation) -> None:
    """A device beyond its rate is cut, its neighbour is not; an event still comes through; ledger, alert and metrics say so."""
    limit(stack)
    stack.register("loud", "quiet")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    quiet = stack.device("quiet")
    quiet.send(stack.wire.report(1, at=now_us()))
    flood(stack, "loud")
    urgent = stack.wire.report(FLOOD + 1, at=now_us())
    urgent.events.append(stack.wire.v1.Event(kind=stack.wire.v1.EVENT_KIND_TAMPER))
    stack.device("loud").send(urgent)
    quiet.send(stack.wire.report(2, at=now_us()))
    stack.wait_for("SELECT sum(records)::int FROM vedette.batch", expect=FLOOD + 3)
    stored = dict(stack.query("SELECT credential, count(*)::int FROM vedette.report GROUP BY 1"))
    shed = FLOOD + 1 - stored["loud"]
    assert stored["quiet"] == 2
    assert BURST * 0.9 <= stored["loud"] <= BURST
    assert stack.query("SELECT credential FROM vedette.event WHERE kind = 'tamper'") == [("loud",)]
    assert stack.value("SELECT sum(shed)::int FROM vedette.ledger") == shed
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")
    minutes = json.loads(stack.stack.vedette("--json", "ledger", "--device", "loud"))
    assert sum(minute["shed"] for minute in minutes) == shed
    stack.wait_for("SELECT count(*) FROM vedette.alert WHERE credential = 'loud' AND kind = 'messages shed'", expect=1)
    assert stack.value("SELECT count(*) FROM vedette.alert WHERE credential = 'quiet' AND kind = 'messages shed'") == 0


def test_what_waited_at_the_broker_is_not_shed(stack: Installation) -> None:
    """A worker that was away takes what its broker kept for it, far above the burst: the devices' clocks earn what time would."""
    limit(stack)
    stack.register("steady")
    stack.stack.start_ingest()
    device = stack.device("steady")
    start = now_us() - 3600 * 1_000_000
    device.send(stack.wire.report(1, at=start))
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=1)
    stack.kill9("vedette-ingest")
    for sequence in range(2, 5 * BURST):
        device.send_nowait(stack.wire.report(sequence, {"n": sequence}, at=start + sequence * 2_000_000))
    device.send(stack.wire.report(5 * BURST, {"n": 0}, at=start + 5 * BURST * 2_000_000))
    stack.stack.start_ingest()
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=5 * BURST)
    assert stack.value("SELECT sum(shed)::int FROM vedette.batch") == 0
