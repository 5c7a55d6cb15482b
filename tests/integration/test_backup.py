"""Backup and restore as docs/store.md describes them, with ingest at work."""

from __future__ import annotations

import shutil

from deploy.local.postgres import PORT, PROGRAMS
from deploy.local.processes import run
from deploy.local.stack import ROOT
from support import Installation


def client(stack: Installation, program: str, *words: str) -> list[str]:
    """The command line of one of PostgreSQL's programs on this cluster."""
    return [str(PROGRAMS / program), "-h", str(stack.stack.postgres.socket), "-p", str(PORT), "-U", "postgres", *words]


def send(stack: Installation, first: int, last: int) -> None:
    """Reports with these numbers."""
    device = stack.device("d")
    for sequence in range(first, last + 1):
        device.send(stack.wire.report(sequence, {"n": sequence}))
    device.close()


def sequences(stack: Installation) -> list[int]:
    """What is stored."""
    return [sequence for (sequence,) in stack.query("SELECT sequence FROM vedette.report ORDER BY sequence")]


def test_base_backup_and_the_journal(stack: Installation) -> None:
    """A restored copy lacks what came after it; the journal still has that, and brings it."""
    stack.register("d")
    stack.stack.start_ingest()
    send(stack, 1, 30)
    stack.wait(lambda: len(sequences(stack)) == 30)
    copy = stack.stack.folder / "backup"
    stack.stack.account.folder(copy)
    run(client(stack, "pg_basebackup", "-D", str(copy), "-X", "stream", "-c", "fast"), stack.stack.account, timeout=120)
    send(stack, 31, 60)
    stack.wait(lambda: len(sequences(stack)) == 60)
    stack.forget_sessions()
    stack.stack.postgres.stop()
    data = stack.stack.postgres.folder / "data"
    shutil.rmtree(data)
    shutil.move(copy, data)
    stack.stack.postgres.start()
    stack.wait(lambda: sequences(stack) == [*range(1, 61)])
    send(stack, 61, 70)
    stack.wait(lambda: sequences(stack) == [*range(1, 71)])
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")


def test_dump_and_restore(stack: Installation) -> None:
    """Everything is in a dump, compressed days too, and a new database made of it works."""
    stack.register("d", "e")
    stack.stack.start_ingest()
    send(stack, 1, 20)
    stack.wait(lambda: len(sequences(stack)) == 20)
    dumped = stack.stack.folder / "dump"
    stack.stack.account.folder(dumped)
    run(client(stack, "pg_dump", "-Fd", "-f", str(dumped / "d"), "vedette"), stack.stack.account, timeout=120)
    run(client(stack, "createdb", "restored"), stack.stack.account)
    run([*client(stack, "pg_restore", "-d", "restored", "--exit-on-error"), str(dumped / "d")], stack.stack.account, timeout=120)
    run(client(stack, "psql", "-X", "-q", "-d", "restored", "-f", "-"), stack.stack.account,
        text_input=(ROOT / "storage" / "bootstrap.sql").read_text(encoding="utf-8"))
    before = sequences(stack)
    stack.stack.overrides = {"store": {"database": "restored"}}
    stack.stack.write_config()
    assert "nothing to do" in stack.stack.vedette("migrate")
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")
    assert stack.stack.vedette("device", "list").count("test-model") == 2
    with stack.stack.postgres.connect("vedette_console", "restored") as session, session.cursor() as cursor:
        cursor.execute("SELECT sequence FROM vedette.report ORDER BY sequence")
        assert [row[0] for row in cursor.fetchall()] == before
    session.close()
