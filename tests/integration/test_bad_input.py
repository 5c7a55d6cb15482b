"""Bad input: never a crash, never a lost neighbour; each bad message is a dead letter with its reason, or stored and marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import Installation, Wire, now_us

DAY_US = 86_400_000_000

# What is refused, by reason. Each case is a device of its own; its bad message has sequence 2 and stands between good ones.
REFUSED: dict[str, tuple[str, Callable[[Wire], Any]]] = {
    "garbage": ("malformed", lambda wire: b"\xff\xff\xff\xff not a message"),
    "truncated": ("malformed", lambda wire: wire.report(2).SerializeToString()[:-3]),
    "oversized": ("oversized", lambda wire: bytes(64 * 1024 + 1)),
    "many-samples": ("oversized", lambda wire: wire.report(2, {f"m{i}": 1.0 for i in range(1025)})),
    "unknown-fields": ("oversized", lambda wire: wire.report(2).SerializeToString() + b"".join(
        bytes((0x80 | (number << 3 & 0x7F), number >> 4, 1)) for number in range(100, 120))),
    "nan": ("value", lambda wire: wire.report(2, {"temperature": float("nan")})),
    "infinite": ("value", lambda wire: wire.report(2, {"temperature": float("-inf")})),
    "long-text": ("value", lambda wire: wire.report(2, {"note": "x" * 257})),
    "control-in-text": ("value", lambda wire: wire.report(2, {"note": "a\nb"})),
    "not-utf8": ("value", lambda wire: wire.report(2, {"note": "AAAA"}).SerializeToString().replace(b"AAAA", b"A\xc3\x28A")),
    "no-value": ("value", lambda wire: _with(wire.report(2), samples=[wire.v1.Sample(metric="empty")])),
    "twice": ("value", lambda wire: _with(wire.report(2), samples=[wire.sample("temperature", 1.0)])),
    "control-in-name": ("metric name", lambda wire: wire.report(2, {"temp\x01erature": 1.0})),
    "upper-case-name": ("metric name", lambda wire: wire.report(2, {"Temperature": 1.0})),
    "empty-name": ("metric name", lambda wire: wire.report(2, {"": 1.0})),
    "long-name": ("metric name", lambda wire: wire.report(2, {"x" * 65: 1.0})),
    "year-30000": ("time", lambda wire: wire.report(2, at=2**63 - 1)),
    "before-1970": ("time", lambda wire: wire.report(2, at=-(2**63))),
    "older-than-kept": ("time", lambda wire: wire.report(2, at=now_us() - 31 * DAY_US, historical=True)),
    "no-boot": ("boot", lambda wire: wire.report(2, boot=0)),
    "no-sequence": ("boot", lambda wire: wire.report(0)),
    "another-credential": ("identity", lambda wire: wire.report(2, credential="somebody-else")),
    "unknown-child": ("identity|unknown device", lambda wire: wire.report(2, child="nobody-we-know")),
    "long-hash": ("field", lambda wire: wire.report(2, firmware=wire.v1.Firmware(image_hash=bytes(33)))),
    "no-event-kind": ("field", lambda wire: wire.report(2, events=[wire.v1.Event(subject="x")])),
    "port-70000": ("field", lambda wire: wire.report(2, traffic=wire.v1.Traffic(interval=1, listening_tcp=[70000]))),
    "empty-message": ("boot", lambda wire: b""),
}

# What is kept and marked, by the mark of its clock.
MARKED: dict[str, tuple[str, bool, Callable[[], int]]] = {
    "no-clock": ("none", False, lambda: 0),
    "year-1970": ("none", False, lambda: 1),
    "hour-ahead": ("ahead", False, lambda: now_us() + DAY_US // 24),
    "year-ahead": ("ahead", False, lambda: now_us() + 365 * DAY_US),
    "ten-days-behind": ("behind", False, lambda: now_us() - 10 * DAY_US),
    "historical": ("good", True, lambda: now_us() - 10 * DAY_US),
    "present": ("good", False, now_us),
}


def _with(report: Any, **more: Any) -> Any:
    """Adds to the lists of a report."""
    for name, values in more.items():
        getattr(report, name).extend(values)
    return report


def test_bad_messages_are_dead_letters_and_their_neighbours_are_stored(stack: Installation) -> None:
    """All cases at once, so that they share batches."""
    stack.register(*REFUSED)
    ingest = stack.stack.start_ingest()
    devices = {name: stack.device(name) for name in REFUSED}
    for name, device in devices.items():
        device.send(stack.wire.report(1))
        device.send(REFUSED[name][1](stack.wire))
        device.send(stack.wire.report(3))
    outcomes = "SELECT (SELECT count(*) FROM vedette.report) + (SELECT count(*) FROM vedette.dead_letter)"
    stack.wait_for(outcomes, expect=3 * len(REFUSED))
    letters = {row[0]: row[1:] for row in stack.query("SELECT credential, reason, detail FROM vedette.dead_letter")}
    wrong = {name: letters.get(name) for name, (reason, _) in REFUSED.items()
             if name not in letters or letters[name][0] not in reason.split("|") or not letters[name][1]}
    assert not wrong, f"dead letters with another reason, or without a detail: {wrong}"
    assert stack.query("SELECT credential, count(*) FROM vedette.report GROUP BY 1 HAVING count(*) <> 2") == []
    assert ingest.alive()


def test_times_out_of_range_are_kept_and_marked(stack: Installation) -> None:
    """Clocks that are wrong within what is kept."""
    stack.register(*MARKED)
    stack.stack.start_ingest()
    for name, (_, historical, at) in MARKED.items():
        stack.device(name).send(stack.wire.report(1, at=at(), historical=historical))
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=len(MARKED))
    rows = stack.query("SELECT credential, clock, historical FROM vedette.report")
    assert {name: tuple(rest) for name, *rest in rows} == {name: case[:2] for name, case in MARKED.items()}
    assert stack.query("SELECT * FROM vedette.dead_letter") == []


def test_text_with_a_zero_byte_harms_nobody(stack: Installation) -> None:
    """protobuf-c hides what follows it in a string and PostgreSQL takes none: whatever becomes of it, the batch is stored."""
    stack.register("dev-a", "dev-b")
    stack.stack.start_ingest()
    device, neighbour = stack.device("dev-a"), stack.device("dev-b")
    device.send(stack.wire.report(1, {"note": "a\0b"}))
    device.send(stack.wire.report(2, {"na\0me": 1.0}))
    device.send(stack.wire.report(3, events=[stack.wire.v1.Event(kind=1, subject="a\0b")]))
    neighbour.send(stack.wire.report(1))
    device.send(stack.wire.report(4))
    stack.wait_for("SELECT (SELECT count(*) FROM vedette.report) + (SELECT count(*) FROM vedette.dead_letter)", expect=5)
    assert stack.value("SELECT count(*) FROM vedette.report WHERE credential = 'dev-b' OR sequence = 4") == 2


def test_unknown_device_is_a_dead_letter(stack: Installation) -> None:
    """A certificate of ours that the registry does not know."""
    stack.register("known")
    stack.stack.start_ingest()
    stack.device("stranger").send(stack.wire.report(1))
    stack.device("known").send(stack.wire.report(1))
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=1)
    stack.wait_for("SELECT count(*) FROM vedette.dead_letter", expect=1)
    assert stack.query("SELECT reason, topic FROM vedette.dead_letter") == [("unknown device", "vedette/v1/stranger/report")]


def test_same_number_with_another_content_is_a_conflict(stack: Installation) -> None:
    """Two devices with one identity show like this."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    at = now_us()
    device.send(stack.wire.report(1, {"temperature": 1.0}, at=at))
    device.send(stack.wire.report(1, {"temperature": 2.0}, at=at))
    device.send(stack.wire.report(2))
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=2)
    stack.wait_for("SELECT reason FROM vedette.dead_letter UNION ALL SELECT 'none yet' LIMIT 1", expect="conflict")


def test_malformed_connectivity_is_a_dead_letter(stack: Installation) -> None:
    """The other topic of a device."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    device.publish("vedette/v1/dev-a/connectivity", b"\xff\xff\xff")
    device.send(stack.wire.report(1))
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=1)
    stack.wait_for("SELECT count(*) FROM vedette.dead_letter WHERE reason = 'malformed' AND topic = %s",
                   "vedette/v1/dev-a/connectivity", expect=1)


@pytest.mark.parametrize("size", [131072, 150000])
def test_larger_than_the_broker_takes(stack: Installation, size: int) -> None:
    """Beyond the broker's own limit nothing reaches ingest; the device's next report does."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    device.send_nowait(bytes(size))
    device.send(stack.wire.report(1))
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=1)
