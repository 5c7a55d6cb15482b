"""Publishers' own numbering: what is missing is known, and devices that keep their reports are told how far they are stored."""

from __future__ import annotations

from typing import Any

from support import Device, Installation, now_us

START = now_us()
GAPS = "SELECT credential, after_sequence, before_sequence, missing FROM vedette.sequence_gap ORDER BY 1, 2"
NOTED = "SELECT missing FROM vedette.sequence WHERE credential = 'dev-a'"


def send(stack: Installation, device: Device, *sequences: int, **fields: Any) -> None:
    """Publishes reports of these numbers; the same number is the same report. Who asks is answered, and noted, sooner."""
    for sequence in sequences:
        device.send(stack.wire.report(sequence, {"n": sequence}, at=START + sequence, **{"wants_stored": True, **fields}))


def listening(stack: Installation, credential: str) -> Device:
    """A device that listens to its notices."""
    device = stack.device(credential)
    device.subscribe(f"vedette/v1/{credential}/notice")
    return device


def notices(stack: Installation, device: Device) -> list[Any]:
    """What it was told."""
    return [stack.wire.v1.Notice.FromString(message.payload) for message in device.messages]


def stored_up_to(stack: Installation, device: Device) -> int:
    """The last number it was told is stored."""
    told = [notice.stored_up_to.sequence for notice in notices(stack, device) if notice.HasField("stored_up_to")]
    return told[-1] if told else -1


def test_holes_are_known_and_close(stack: Installation) -> None:
    """A hole is seen at once, is noted for good, survives the worker's death, and closes when the reports come late."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    send(stack, device, *range(1, 11), *range(15, 21))
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=16)
    assert stack.query(GAPS) == [("dev-a", 10, 15, 4)]
    stack.kill9("vedette-ingest")
    assert stack.query(GAPS) == [("dev-a", 10, 15, 4)]
    stack.stack.start_ingest()
    stack.wait_for(NOTED, expect=4)
    send(stack, device, 12)
    stack.wait_for(NOTED, expect=3)
    assert stack.query(GAPS) == [("dev-a", 10, 12, 1), ("dev-a", 12, 15, 2)]
    send(stack, device, 11, 13, 14, 20)  # 20 is a duplicate
    stack.wait_for(NOTED, expect=0)
    assert stack.query(GAPS) == []


def test_refused_reports_were_received(stack: Installation) -> None:
    """A report that is a dead letter is no hole, and its device is told why; at most three times a minute."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = listening(stack, "dev-a")
    send(stack, device, 1)
    for sequence in range(2, 12):
        device.send(stack.wire.report(sequence, {"UPPER": 1.0}))
    send(stack, device, 12)
    stack.wait_for("SELECT count(*) FROM vedette.dead_letter", expect=10)
    stack.wait_for(NOTED, expect=0)
    assert stack.query(GAPS) == []
    stack.wait(lambda: any(notice.HasField("refused") for notice in notices(stack, device)))
    told = [notice.refused for notice in notices(stack, device) if notice.HasField("refused")]
    assert 1 <= len(told) <= 6  # two minutes may be touched
    assert told[0].reason == stack.wire.v1.REASON_METRIC_NAME and told[0].sequence == 2 and "metric's name" in told[0].detail


def test_a_stranger_is_told(stack: Installation) -> None:
    """Who is not registered learns it."""
    stack.stack.start_ingest()
    device = listening(stack, "stranger")
    send(stack, device, 1)
    stack.wait(lambda: device.messages)
    assert notices(stack, device)[0].refused.reason == stack.wire.v1.REASON_UNKNOWN_DEVICE


def test_stored_up_to_stops_at_a_hole(stack: Installation) -> None:
    """The number told never passes what is missing, however late; and what a device no longer keeps does not hold it up."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = listening(stack, "dev-a")
    send(stack, device, 1, 2, 3, 5, 6)
    stack.wait(lambda: stored_up_to(stack, device) == 3)
    send(stack, device, 4)
    stack.wait(lambda: stored_up_to(stack, device) == 6)
    send(stack, device, 9, kept_from=4)
    send(stack, device, 10, kept_from=9)
    stack.wait(lambda: stored_up_to(stack, device) == 10)
    send(stack, device, 10, kept_from=9)  # asked again, told again
    stack.wait(lambda: [notice.stored_up_to.sequence for notice in notices(stack, device)].count(10) == 2)
    told = [notice.stored_up_to.sequence for notice in notices(stack, device)]
    assert told == sorted(told) and all(notice.stored_up_to.boot_counter == 1 for notice in notices(stack, device))
    assert stack.query(GAPS) == [("dev-a", 6, 9, 2)]


def test_holes_without_end_cost_little(stack: Installation) -> None:
    """A publisher that leaves out every second number makes no row grow without bound, and nothing is forgotten in the count."""
    numbers = ", ".join(str(2 * n) for n in range(1, 1001))
    with stack.stack.postgres.connect("vedette_admin") as session, session.cursor() as cursor:
        cursor.execute("INSERT INTO store.feed (journal, worker) VALUES (gen_random_uuid(), 'w') RETURNING id")
        ((feed,),) = cursor.fetchall()
        cursor.execute("INSERT INTO store.model (name) VALUES ('m') RETURNING id")
        ((model,),) = cursor.fetchall()
        cursor.execute("INSERT INTO store.device (credential, model) VALUES ('dev-a', %s) RETURNING id", (model,))
        ((publisher,),) = cursor.fetchall()
        for at in range(20):
            part = "ARRAY[" + ", ".join(numbers.split(", ")[at * 50:(at + 1) * 50]) + "]::bigint[]"
            cursor.execute(f"SELECT store.note_sequences(%s, %s, array_fill(%s, ARRAY[50]), array_fill(1::bigint, ARRAY[50]), {part},"
                           f" {part}, array_fill(false, ARRAY[50]), array_fill(0::bigint, ARRAY[50]))", (feed, at, publisher))
        cursor.execute("SELECT missing + folded, pg_column_size(received) FROM store.sequence")
        ((missing, size),) = cursor.fetchall()
    assert missing == 999 and size < 4000
