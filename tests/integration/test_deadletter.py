"""Dead letters: kept whole, shown, and handed back to a worker's journal once what was wrong is put right."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deploy.local.processes import environment
from deploy.local.stack import Stack
from support import Device, Installation, Wire, now_us

ADMIN = "vedette_admin"
MANY = 20
FLOOD = 1500  # more than a few claims of a worker
LETTERS = "SELECT count(*) FROM vedette.dead_letter"
STATES = LETTERS + " WHERE state = %s"


def run(stack: Installation, *words: str | Path, code: int = 0, text: str = "") -> str:
    """`vedette deadletter …`: what it said, its exit code checked."""
    argv = [str(word) for word in (stack.stack.programs.path("vedette"), "--config", stack.stack.config, "deadletter", *words)]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, env=environment(), check=False)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def run_json(stack: Installation, *words: str | Path) -> Any:
    """The same with --json, parsed."""
    return json.loads(run(stack, *words, "--json"))


def admin(stack: Installation, statement: str, *values: Any) -> None:
    """Changes something behind everybody's back."""
    session = stack.stack.postgres.connect(ADMIN)
    try:
        with session, session.cursor() as cursor:
            cursor.execute(statement, values)
            session.commit()
    finally:
        session.close()


def publish(stack: Installation, name: str, count: int = MANY) -> Device:
    """Sound reports, the first `count` of boot 1."""
    device = stack.device(name)
    for sequence in range(1, count + 1):
        device.send_nowait(stack.wire.report(sequence, {"n": sequence}, at=now_us()))
    return device


def check_ledger(stack: Installation) -> None:
    """Everything adds up, to the message."""
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")


def test_a_device_that_is_registered_late_loses_nothing(stack: Installation) -> None:
    """Its letters are replayed and stored once each, as history; asking again changes nothing."""
    stack.stack.start_ingest()
    device = publish(stack, "läte")
    stack.wait_for(LETTERS, expect=MANY)
    before = run_json(stack, "replay", "--device", "läte", "--dry-run")
    assert {(letter["was"], letter["now"]) for letter in before["letters"]} == {("unknown device", "unknown device")}
    stack.register("läte")
    assert f"{MANY}  unknown device   → stored" in run(stack, "replay", "--device", "läte", "--dry-run")
    assert stack.value(STATES, "open") == MANY
    assert run_json(stack, "replay", "--device", "läte") == {"queued": MANY, "not_whole": 0, "worker_alive": True}
    stack.wait_for("SELECT count(*) FROM vedette.report WHERE credential = 'läte' AND historical", expect=MANY)
    stack.wait_for(STATES, "replayed", expect=MANY)
    stack.wait_for("SELECT sum(received) FROM vedette.ledger", expect=2 * MANY)
    assert run_json(stack, "replay", "--device", "läte")["queued"] == 0
    ((first,),) = stack.query("SELECT min(id) FROM vedette.dead_letter")
    assert "replayed already" in run(stack, "replay", str(first), code=1)
    admin(stack, "UPDATE store.dead_letter SET state = 'open'")  # as if nobody had noted it
    assert "→ duplicate" in run(stack, "replay", "--since", "1h", "--dry-run")
    run(stack, "replay", "--since", "1h")
    stack.wait_for("SELECT sum(duplicate) FROM vedette.ledger", expect=MANY)
    device.send(stack.wire.report(MANY + 1))
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=MANY + 1)
    assert stack.query("SELECT sum(received), sum(stored), sum(duplicate), sum(rejected) FROM vedette.ledger") == [
        (3 * MANY + 1, MANY + 1, MANY, MANY)]
    check_ledger(stack)


def test_a_worker_that_dies_in_a_replay_loses_nothing(stack: Installation) -> None:
    """Killed whenever it has letters in its hands: each is stored once in the end."""
    stack.stack.start_ingest()
    publish(stack, "late", FLOOD)
    stack.wait_for(LETTERS, expect=FLOOD)
    stack.register("late")
    assert run_json(stack, "replay", "--reason", "unknown-device")["queued"] == FLOOD
    for _ in range(3):
        stack.wait(lambda: stack.value("SELECT count(*) FROM store.dead_letter WHERE claimed_by IS NOT NULL", role=ADMIN) > 0)
        stack.kill9("vedette-ingest")
        assert stack.value(STATES, "queued") > 0
        stack.stack.start_ingest()
    stack.wait_for(STATES, "replayed", expect=FLOOD)
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=FLOOD)
    stack.wait_for("SELECT pending FROM vedette.worker", expect=0)
    assert stack.value("SELECT count(DISTINCT sequence) FROM vedette.report") == FLOOD
    assert stack.value("SELECT sum(rejected) FROM vedette.ledger") == FLOOD
    check_ledger(stack)


def test_a_journal_that_waits_for_the_disk_takes_letters_too(new_stack: Callable[..., Stack], migrated: Path, wire: Wire) -> None:
    """With sync_ms 0 each append waits, on the thread that does everything else."""
    made = new_stack(overrides={"ingest": {"journal": {"segment_mib": 4, "sync_ms": 0}}})
    made.start_store(template=migrated)
    made.start_broker()
    stack = Installation(made, wire)
    try:
        made.start_ingest()
        publish(stack, "late", 300)
        stack.wait_for(LETTERS, expect=300)
        stack.register("late")
        assert run_json(stack, "replay", "--device", "late")["queued"] == 300
        stack.wait_for(STATES, "replayed", expect=300)
        stack.wait_for("SELECT count(*) FROM vedette.report", expect=300)
        assert stack.value("SELECT sum(duplicate) FROM vedette.ledger") == 0
        check_ledger(stack)
    finally:
        stack.close()


def test_letters_of_another_worker_are_taken_once_it_is_retired(stack: Installation) -> None:
    """While it may come back they are its own."""
    journal = "7b1e4f1c-0000-4000-8000-000000000001"
    stack.stack.start_ingest()
    publish(stack, "late", 2)
    stack.wait_for(LETTERS, expect=2)
    stack.register("late")
    admin(stack, "SELECT store.open_feed(%s, 'other')", journal)
    # In one transaction, so that the worker cannot be first.
    admin(stack, "SELECT store.queue_letters((SELECT array_agg(id) FROM store.dead_letter), 'test');"
                 "SELECT store.claim_letters((SELECT id FROM store.feed WHERE journal = %s), 1, 1000)", journal)
    stack.wait_for(STATES, "replayed", expect=1)
    assert stack.value(STATES, "queued") == 1
    assert run_json(stack, "drop", "--since", "1h", "--yes") == {"dropped": 0}  # it is in the other's hands
    admin(stack, "SELECT store.retire_feed(id, 'test') FROM store.feed WHERE journal = %s", journal)
    stack.wait_for(STATES, "replayed", expect=2)
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=2)


def test_what_is_wrong_still_becomes_a_letter_again(stack: Installation, tmp_path: Path) -> None:
    """A broken message, a conflict and one that is too large: shown, tried, replayed."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    at = now_us()
    broken = bytes(stack.wire.report(9, {"temperature": 1.5}).SerializeToString()) + b"\xff\xff\xff"
    device.send(stack.wire.report(1, {"temperature": 1.0}, at=at))
    device.send(stack.wire.report(1, {"temperature": 2.0}, at=at))
    device.send(broken)
    device.send(b"x" * 70000)
    stack.wait_for(LETTERS, expect=3)
    letters = {letter["reason"]: letter for letter in run_json(stack, "list")}
    assert {reason: letter["whole"] for reason, letter in letters.items()} == {
        "conflict": True, "malformed": True, "oversized": False}
    shown = run_json(stack, "show", str(letters["malformed"]["id"]))
    assert bytes.fromhex(shown["payload"]) == broken and shown["decoded_bytes"] == len(broken) - 3
    assert shown["decoded"]["sequence"] == 9 and shown["decoded"]["samples"] == [{"metric": "temperature", "number": 1.5}]
    text = run(stack, "show", str(letters["malformed"]["id"]))
    assert "temperature" in text and f"from byte {len(broken) - 3}" in text and "ff ff ff" in text
    assert len(bytes.fromhex(run_json(stack, "show", str(letters["oversized"]["id"]))["payload"])) == 1024
    run(stack, "show", str(letters["malformed"]["id"]), "--payload", tmp_path / "letter")
    assert (tmp_path / "letter").read_bytes() == broken
    tried = run_json(stack, "replay", "--device", "dev-a", "--dry-run")
    assert {(letter["was"], letter["now"]) for letter in tried["letters"]} == {("conflict", "conflict"), ("malformed", "malformed")}
    assert tried["not_whole"] == 1
    assert "not kept whole" in run(stack, "replay", str(letters["oversized"]["id"]), code=1)
    assert run_json(stack, "replay", str(letters["malformed"]["id"]), str(letters["conflict"]["id"]))["queued"] == 2
    stack.wait_for(STATES, "replayed", expect=2)
    stack.wait_for("SELECT array_agg(reason ORDER BY reason) FROM vedette.dead_letter WHERE state = 'open'",
                   expect=["conflict", "malformed", "oversized"])
    assert stack.value("SELECT count(*) FROM vedette.report") == 1
    check_ledger(stack)


def test_dropped_letters_stay_in_the_books(stack: Installation) -> None:
    """Their payload is gone, that they were there is not."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    for _ in range(3):
        device.send(b"\xff")
    stack.wait_for(LETTERS, expect=3)
    first, second, third = (letter["id"] for letter in run_json(stack, "list"))
    assert "--yes" in run(stack, "drop", str(first), code=2)
    assert run_json(stack, "drop", str(first), "--yes") == {"dropped": 1}
    assert "dropped already" in run(stack, "replay", str(first), code=1)
    assert "3 letters" not in run(stack, "drop", "--reason", "malformed", "--yes")
    assert {letter["id"] for letter in run_json(stack, "list", "--state", "dropped")} == {first, second, third}
    assert "no such dead letter" in run(stack, "list")
    assert run_json(stack, "show", str(second))["payload"] == ""
    check_ledger(stack)


def test_the_caps_outlive_a_restart(stack: Installation) -> None:
    """What was kept today counts, also after the worker was away."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    device.send(b"\xff")
    stack.wait_for(LETTERS, expect=1)
    admin(stack, "INSERT INTO store.dead_letter (device, batch, record, received, reason, size, topic, detail, payload)"
                 " SELECT device, batch, 1000 + n, received, reason, size, topic, detail, payload"
                 " FROM store.dead_letter, generate_series(1, 998) AS n")
    stack.kill9("vedette-ingest")
    stack.stack.start_ingest()
    for _ in range(3):
        device.send(b"\xff")
    stack.wait_for("SELECT sum(rejected) FROM vedette.ledger", expect=4)
    assert stack.value(LETTERS) == 1000  # one more had room
    stack.device("stranger").send(b"\xff")  # and has another cap
    stack.wait_for(LETTERS, expect=1001)


def test_a_person_is_asked_before_letters_go(stack: Installation) -> None:
    """On a terminal, unless --yes."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    stack.device("dev-a").send(b"\xff")
    stack.wait_for(LETTERS, expect=1)
    for answer, code, left in (("n", 1, 1), ("y", 0, 0)):
        keyboard, terminal = pty.openpty()
        os.write(keyboard, f"{answer}\n".encode())
        done = subprocess.run([str(stack.stack.programs.path("vedette")), "--config", str(stack.stack.config), "deadletter", "drop",
                               "--device", "dev-a"], stdin=terminal, capture_output=True, text=True, timeout=60, check=False)
        os.close(keyboard)
        os.close(terminal)
        assert done.returncode == code and "Drop 1 dead letter for good?" in done.stderr, done
        assert stack.value(STATES, "open") == left


WRONG = {
    "no letters": (("replay",), 2, "which letters"),
    "no number": (("show", "x"), 2, "not the number"),
    "zero": (("drop", "0", "--yes"), 2, "not the number"),
    "numbers and options": (("replay", "1", "--device", "a"), 2, "not both"),
    "unknown reason": (("list", "--reason", "unknown-devise"), 2, "did you mean 'unknown device'"),
    "no reason at all": (("list", "--reason", "???"), 2, "is none of: malformed"),
    "no time": (("drop", "--since", "soon"), 2, "--since takes"),
    "no state": (("list", "--state", "gone"), 2, "--state is open"),
    "no letter": (("show", "4711"), 1, "no dead letter 4711"),
    "no letter to replay": (("replay", "4711"), 1, "no dead letter 4711"),
    "a verb": (("resend",), 2, "vedette deadletter"),
}


def test_wrong_usage_is_told(stack: Installation) -> None:
    """One line, an exit code, and nothing done."""
    wrong: dict[str, str] = {}
    for name, (words, code, said) in WRONG.items():
        told = run(stack, *words, code=code)
        if said not in told or told.count("\n") != 1:
            wrong[name] = told
    assert not wrong


def test_what_cannot_be_written_is_told(stack: Installation) -> None:
    """A file in a folder that is not there."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    stack.device("dev-a").send(b"\xff")
    stack.wait_for(LETTERS, expect=1)
    (letter,) = run_json(stack, "list")
    assert "cannot write" in run(stack, "show", str(letter["id"]), "--payload", "/nowhere/at/all", code=1)


@pytest.mark.parametrize("role", ["vedette_ingest", "vedette_console", "vedette_grafana", "vedette_analysis"])
def test_only_the_administrator_queues_and_drops(stack: Installation, role: str) -> None:
    """And what is in a letter is for the operator's eyes."""
    calls = {"store.queue_letters('{1}'::bigint[], 'x')": False, "store.drop_letters('{1}'::bigint[], 'x')": False,
             "store.claim_letters(1, 1, 1)": role == "vedette_ingest", "vedette.dead_letter_payload(1)": role == "vedette_console"}
    for call, may in calls.items():
        name = call.partition("(")[0]
        oid = stack.value("SELECT %s::regproc::oid", name, role=ADMIN)
        assert stack.value("SELECT has_function_privilege(%s, %s::oid, 'execute')", role, oid, role=ADMIN) == may, call
