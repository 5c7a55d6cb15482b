"""`vedette doctor`: a sound installation passes, and what goes wrong slowly is found, with what to do."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import subprocess
from typing import Any

import pytest
from deploy.local.processes import environment
from support import Installation

ADMIN = "vedette_admin"
SUPERUSER = "postgres"


def doctor(stack: Installation) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings."""
    argv = [str(stack.stack.programs.path("vedette")), "--config", str(stack.stack.config), "--json", "doctor"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment(), check=False)
    assert done.stderr == "", done.stderr
    return done.returncode, json.loads(done.stdout)


def found(stack: Installation, words: str) -> dict[str, Any]:
    """The one finding that says this."""
    _, findings = doctor(stack)
    (one,) = [finding for finding in findings if words in finding["said"]]
    return one


def test_a_sound_installation(stack: Installation) -> None:
    """Nothing is bad; every finding that is not good says what to do."""
    stack.stack.start_keeper()
    stack.stack.start_ingest()
    code, findings = doctor(stack)
    assert code == 0
    assert {finding["area"] for finding in findings} == {"schema", "server", "roles", "partitions", "retention", "compression", "bloat",
                                                         "ingest", "certificates", "clock", "disk"}
    for finding in findings:
        assert finding["state"] != "bad", finding
        assert (finding["state"] == "good") == (finding["advice"] is None), finding
    # What these tests' small clusters lack, and what a machine without a time service does.
    doubtful = {finding["said"] for finding in findings if finding["state"] != "good"}
    assert all("clock" in said or "may grow" in said or "room on its disk" in said or "more are to come" in said for said in doubtful), doubtful
    shown = stack.stack.vedette("doctor")
    assert "fsync is on" in shown and shown.splitlines()[-1].endswith(" unknown") and " 0 bad" in shown


SQL_FAULTS: list[tuple[str, str, str, str]] = [
    (SUPERUSER, "ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf()", "fsync is off", "bad"),
    (SUPERUSER, "ALTER SYSTEM SET synchronous_commit = off; SELECT pg_reload_conf()", "synchronous_commit is off", "bad"),
    (SUPERUSER, "ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf()", "autovacuum is off", "bad"),
    (SUPERUSER, "ALTER ROLE vedette_grafana SUPERUSER", "vedette_grafana may do more", "bad"),
    (SUPERUSER, "CREATE TABLE store.foreign_thing ()", "foreign_thing belong to others", "bad"),
    (ADMIN, "SELECT store.make_partition('report', 'day', now() - interval '40 days')", "the oldest day of reports", "bad"),
    (ADMIN, """INSERT INTO store.feed (journal, worker) VALUES (gen_random_uuid(), 'gone-1');
               INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since, committed_at)
               SELECT max(id), 1, 0, 0, 0, now(), now(), now() - interval '1 minute' FROM store.feed""",
     "no batch for 30 s from gone-1", "bad"),
    (ADMIN, "DELETE FROM vedette_meta.vedette_migration WHERE number > 9", "the database is at migration 9 of", "bad"),
    (ADMIN, """INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks)
               SELECT '1970-01-01', now(), 1, n, 1, 1, 1, 1, 1, 0, 0 FROM generate_series(1, 100001) n""",
     "reports lie outside every day", "warning"),
]


@pytest.mark.parametrize("role, statement, said, state", SQL_FAULTS, ids=[said for _, _, said, _ in SQL_FAULTS])
def test_faults_of_the_store(stack: Installation, role: str, statement: str, said: str, state: str) -> None:
    """Each is found, with advice."""
    with contextlib.closing(stack.stack.postgres.connect(role)) as session, session.cursor() as cursor:
        for one in statement.split(";"):
            cursor.execute(one)
    stack.wait(lambda: found(stack, said)["state"] == state)
    assert found(stack, said)["advice"]
    assert doctor(stack)[0] == (1 if state == "bad" else 0)


def test_a_missing_partition(stack: Installation) -> None:
    """The keeper was away for days."""
    stack.query(f"DROP TABLE store.report_{dt.datetime.now(dt.UTC):%Y%m%d}; SELECT 1", role=ADMIN)
    assert found(stack, "partitions of today or tomorrow are missing")["state"] == "bad"


def write_certificate(stack: Installation, days: float) -> None:
    """Another certificate for ingest, which ends in so many days."""
    year = dt.timedelta(days=365)
    stack.stack.authority.issue("vedette/ingest-1", stack.stack.folder / "pki" / "ingest", life=year,
                                begin=dt.datetime.now(dt.UTC) - year + dt.timedelta(days=days))


def test_certificates_and_keys(stack: Installation) -> None:
    """What ends soon, has ended, is none, or is open to all."""
    base = stack.stack.folder / "pki"
    write_certificate(stack, 10.5)
    assert found(stack, "ingest.crt is valid for 10 days")["state"] == "warning"
    write_certificate(stack, -3.5)
    assert found(stack, "ingest.crt has expired, 3 days ago")["state"] == "bad"
    (base / "ingest.crt").write_text("no certificate", encoding="utf-8")
    assert found(stack, "ingest.crt cannot be read: it is no certificate")["state"] == "bad"
    (base / "ingest.key").chmod(0o644)
    assert found(stack, "others may read the key")["state"] == "bad"


def test_without_a_database(stack: Installation) -> None:
    """Says so, looks at the rest, and fails."""
    stack.stack.postgres.stop()
    argv = [str(stack.stack.programs.path("vedette")), "--config", str(stack.stack.config), "--json", "doctor"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment(), check=False)
    areas = {finding["area"] for finding in json.loads(done.stdout)}
    assert done.returncode == 1 and "cannot reach database" in done.stderr and {"server", "certificates", "disk"} <= areas
