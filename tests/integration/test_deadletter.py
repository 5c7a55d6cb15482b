"""Dead letters: kept whole, shown, and handed back to a worker's journal once what was wrong is put right."""

from __future__ import annotations

from support import Installation, now_us

ADMIN = "vedette_admin"
MANY = 20
STATES = "SELECT count(*) FROM vedette.dead_letter WHERE state = %s"


def publish_as_stranger(stack: Installation, name: str, count: int = MANY) -> None:
    """Sound reports of a device that nobody registered: all of them dead letters."""
    device = stack.device(name)
    for sequence in range(1, count + 1):
        device.send_nowait(stack.wire.report(sequence, {"n": sequence}, at=now_us()))
    stack.wait_for("SELECT count(*) FROM vedette.dead_letter", expect=count)


def queue_all(stack: Installation) -> int:
    with stack.stack.postgres.connect(ADMIN) as session, session.cursor() as cursor:
        cursor.execute("SELECT store.queue_letters(array_agg(id), 'test') FROM store.dead_letter")
        (count,) = cursor.fetchone()
        return int(count)


def test_a_device_that_is_registered_late_loses_nothing(stack: Installation) -> None:
    stack.stack.start_ingest()
    publish_as_stranger(stack, "late")
    stack.register("late")
    assert queue_all(stack) == MANY
    stack.wait_for("SELECT count(*) FROM vedette.report WHERE credential = 'late' AND historical", expect=MANY)
    stack.wait_for(STATES, "replayed", expect=MANY)
    assert stack.query("SELECT sum(received), sum(stored), sum(rejected) FROM vedette.ledger") == [(2 * MANY, MANY, MANY)]
    assert "adds up" in stack.stack.vedette("ledger", "--check")
