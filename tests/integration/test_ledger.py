"""The ledger adds up, and says where it does not."""

from __future__ import annotations

import json

import pytest

from deploy.local import programs
from deploy.local.errors import StackError
from support import Installation, now_us

START = now_us()
MANY = 450  # the faulty builds err once in 200 calls


def publish(stack: Installation) -> None:
    """Sound reports, some of them twice, and broken ones; all of them processed."""
    stack.register("dev-a", "dev-b")
    stack.stack.start_ingest()
    for name in ("dev-a", "dev-b"):
        device = stack.device(name)
        for sequence in range(1, MANY + 1):
            device.send_nowait(stack.wire.report(sequence, {"n": sequence}, at=START + sequence))
            device.send_nowait(b"broken")
        device.send(stack.wire.report(MANY, {"n": MANY}, at=START + MANY))
    stack.wait_for("SELECT coalesce(sum(records), 0) FROM vedette.batch", expect=4 * MANY + 2)


def check(stack: Installation) -> tuple[int, str]:
    """`vedette ledger --check`: exit code and what it said."""
    try:
        return 0, stack.stack.vedette("ledger", "--check", "--since", "1h")
    except StackError as error:
        return 1, str(error)


def test_the_ledger_adds_up(stack: Installation) -> None:
    """Every term is there, by worker, by minute and by device, and the check is content."""
    publish(stack)
    code, said = check(stack)
    assert code == 0 and "adds up" in said
    totals = stack.query("SELECT sum(received)::int, sum(stored)::int, sum(duplicate)::int, sum(rejected)::int, sum(letters)::int"
                         " FROM vedette.ledger WHERE worker = 'ingest-1'")
    assert totals == [(4 * MANY + 2, 2 * MANY, 2, 2 * MANY, 2 * MANY)]
    minutes = json.loads(stack.stack.vedette("--json", "ledger", "--device", "dev-a"))
    assert [sum(minute[term] for minute in minutes) for term in ("received", "stored", "duplicate", "rejected", "shed")] == [
        2 * MANY + 1, MANY, 1, MANY, 0]


@pytest.mark.parametrize("fault", ["drop", "double", "mislabel"])
def test_a_worker_that_cheats_is_named(stack: Installation, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that drops, doubles or mislabels one in 200: the check fails and names worker and minute."""
    monkeypatch.setitem(programs.BUILT, "vedette-ingest", f"tests/vedette-ingest-{fault}")
    publish(stack)
    code, said = check(stack)
    assert code == 1 and "does not add up" in said
    faults = stack.query("SELECT worker, minute, expected <> found FROM vedette.ledger_faults(now() - interval '1 hour')")
    assert faults and all(worker == "ingest-1" and minute is not None and differs for worker, minute, differs in faults)
    booked = {minute for (minute,) in stack.query("SELECT minute FROM vedette.ledger")}
    assert {minute for _, minute, _ in faults} <= booked


def test_a_row_that_vanishes_is_noticed(stack: Installation) -> None:
    """Also what happens to the store behind the worker's back."""
    publish(stack)
    with stack.stack.postgres.connect("vedette_admin") as session, session.cursor() as cursor:
        cursor.execute("DELETE FROM store.report WHERE sequence = 7")
        session.commit()
    code, _ = check(stack)
    assert code == 1
    assert ("stored, against the rows",) in stack.query("SELECT what FROM vedette.ledger_faults(now() - interval '1 hour')")
