"""How long what is kept: by class and by model, and the keeper that sees to it."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from typing import Any

import pytest
from deploy.local.processes import environment
from support import Installation, now_us
from test_metrics import get, scrape

DAY_US = 86_400_000_000
ADMIN, KEEPER = "vedette_admin", "vedette_keeper"
REPORT = """INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks)
            VALUES (%s, now(), 1, %s, 1, 1, %s, %s, 10, 0, 0) RETURNING 1"""
EVENT = """INSERT INTO store.event (time, received, boot, sequence, batch, device, publisher, place, kind, count, marks, source, subject)
           VALUES (%s, now(), 1, %s, 1, 1, 1, 0, 1, 1, 0, %s, '') RETURNING 1"""


def ago(days: float) -> dt.datetime:
    """So many days before now."""
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=days)


def call(stack: Installation, *words: str) -> tuple[int, str]:
    """Exit code of the operator's command, and what it said."""
    argv = [str(stack.stack.programs.path("vedette")), "--config", str(stack.stack.config), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment(), check=False)
    return done.returncode, done.stdout + done.stderr


def prune(stack: Installation) -> None:
    """As the keeper does it each hour."""
    stack.query("SELECT store.prune()", role=KEEPER)


def numbers(stack: Installation) -> dict[str, int]:
    """Devices by credential."""
    return dict(stack.query("SELECT credential, device FROM vedette.device"))


def send_old(stack: Installation, credential: str, sequence: int, days: float) -> None:
    """A report of the past, as backfill."""
    stack.device(credential).send(stack.wire.report(sequence, at=now_us() - int(days * DAY_US), historical=True))


def test_a_model_has_its_own_time(stack: Installation) -> None:
    """What is older is refused for this model and taken for others, and what is there goes; a worker learns a change."""
    stack.register("brief-1", model="brief")
    stack.register("other-1")
    stack.stack.start_ingest()
    send_old(stack, "brief-1", 1, 5)
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=1)
    stack.stack.vedette("retention", "set", "report", "2d", "--model", "brief", "--yes")
    send_old(stack, "other-1", 1, 3)
    stack.wait_for("SELECT count(*)::int FROM vedette.report WHERE credential = 'other-1'", expect=1)
    # The registry is looked at every two seconds: sooner or later the new time holds.
    sequence = iter(range(2, 1000))

    def refused() -> bool:
        send_old(stack, "brief-1", next(sequence), 3)
        return bool(stack.query("SELECT detail FROM vedette.dead_letter WHERE credential = 'brief-1' AND reason = 'time'"))

    stack.wait(refused)
    assert "2 days" in stack.value("SELECT min(detail) FROM vedette.dead_letter")
    send_old(stack, "brief-1", 1000, 1)
    stack.wait_for("SELECT count(*)::int FROM vedette.report WHERE credential = 'brief-1' AND sequence = 1000", expect=1)
    prune(stack)
    assert stack.query("SELECT credential, sequence FROM vedette.report ORDER BY 1") == [("brief-1", 1000), ("other-1", 1)]
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")


def test_the_books_know_of_a_dropped_day(stack: Installation) -> None:
    """A report of the past, received a moment ago, goes with its day, and the ledger still adds up."""
    stack.register("d")
    stack.stack.start_ingest()
    send_old(stack, "d", 1, 25)
    send_old(stack, "d", 2, 1)
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=2)
    stack.query("SELECT store.housekeep()", role=KEEPER)
    stack.stack.vedette("retention", "set", "report", "20d", "--yes")
    assert dict(stack.query("SELECT what, dropped FROM store.housekeep()", role=KEEPER))["report"] == 1
    assert stack.query("SELECT sequence FROM vedette.report") == [(2,)]
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")
    stack.query("UPDATE store.minute SET gone = 0 RETURNING 1", role=ADMIN)
    assert call(stack, "ledger", "--check", "--since", "1h")[0] == 1


def test_a_longer_time_of_a_model_keeps_the_days(stack: Installation) -> None:
    """Partitions live as long as the longest; other models' rows in them go by age."""
    stack.register("long-1", model="long")
    stack.register("other-1")
    ids = numbers(stack)
    stack.stack.vedette("retention", "set", "report", "60d", "--model", "long")
    old = ago(40)
    stack.query(REPORT, old, 1, ids["long-1"], ids["long-1"], role=ADMIN)
    stack.query("SELECT store.housekeep()", role=KEEPER)
    assert stack.value("SELECT tableoid::regclass::text FROM store.report", role=ADMIN) == f"store.report_{old:%Y%m%d}"
    stack.query("SELECT store.housekeep()", role=KEEPER)
    prune(stack)
    assert stack.value("SELECT count(*)::int FROM store.report", role=ADMIN) == 1
    stack.stack.vedette("retention", "clear", "report", "--model", "long", "--yes")
    stack.query("SELECT store.housekeep()", role=KEEPER)
    assert stack.value("SELECT count(*)::int FROM store.report", role=ADMIN) == 0


def test_addresses_are_cut_and_the_rest_goes_by_class(stack: Installation) -> None:
    """An event outlives the address in it; alerts that are over go, open ones stay."""
    addresses = ["203.0.113.77", "2001:db8:1:2::3", None, "203.0.113.78"]
    for sequence, (days, address) in enumerate(zip((31, 31, 31, 29), addresses, strict=True)):
        stack.query(EVENT, ago(days), sequence, address, role=ADMIN)
    for number, (state, days) in enumerate((("open", 500), ("cleared", 500), ("cleared", 100))):
        stack.query("""INSERT INTO store.alert (device, kind, key, state, severity, opened_at, changed_at, sentence, explanation)
                       VALUES (1, 'k', %s, %s, 'info', %s, %s, '', '{}') RETURNING 1""",
                    str(number), state, ago(days), ago(days), role=ADMIN)
    stack.query("""INSERT INTO store.alert_event (device, alert, place, at, change, actor, detail)
                   SELECT device, id, 1, now(), 'opened', 'k', '' FROM store.alert RETURNING 1""", role=ADMIN)
    for _ in range(2):
        prune(stack)
        assert [row[0] for row in stack.query("SELECT source::text FROM store.event ORDER BY sequence", role=ADMIN)] == [
            "203.0.113.0/24", "2001:db8:1::/48", None, "203.0.113.78/32"]
    assert [key for (key,) in stack.query("SELECT key FROM store.alert ORDER BY key", role=ADMIN)] == ["0", "2"]
    assert stack.value("SELECT count(*)::int FROM store.alert_event", role=ADMIN) == 2


REFUSED: list[tuple[tuple[str, ...], int, str]] = [
    (("set", "report", "1d"), 2, "would be deleted"),
    (("set", "report", "0d"), 2, "no time to keep"),
    (("set", "report", "101y"), 2, "no time to keep"),
    (("set", "report", "30"), 2, "no time to keep"),
    (("set", "reports", "30d"), 1, 'no class "reports"'),
    (("set", "report", "30d", "--model", "nobody"), 1, 'no model "nobody"'),
    (("set", "alert", "30d", "--model", "known"), 1, "not for"),
    (("clear", "report", "--model", "known"), 1, "no time of its own"),
    (("clear", "report"), 2, "--model"),
]


@pytest.mark.parametrize("words, code, said", REFUSED, ids=[" ".join(words) for words, _, _ in REFUSED])
def test_the_command_refuses(stack: Installation, words: tuple[str, ...], code: int, said: str) -> None:
    """With a clear error, and changes nothing."""
    stack.register("d", model="known")
    before = stack.query("SELECT * FROM vedette.retention")
    assert call(stack, "retention", *words)[0] == code
    assert said in call(stack, "retention", *words)[1]
    assert stack.query("SELECT * FROM vedette.retention") == before


def test_the_command_shows_what_holds(stack: Installation) -> None:
    """Classes with their defaults, then the models with their own time."""
    stack.register("d", model="known")
    shown: list[dict[str, Any]] = json.loads(stack.stack.vedette("--json", "retention", "list"))
    assert {row["class"]: row["keep"] for row in shown} == {
        "address": "30 days", "alert": "1 year 1 mon", "dead letter": "30 days", "detail": "8 days", "event": "1 year 1 mon",
        "ledger": "1 year 1 mon", "report": "30 days", "rollup": "1 year 1 mon"}
    stack.stack.vedette("retention", "set", "dead letter", "2w", "--yes")
    stack.stack.vedette("retention", "set", "event", "2y", "--model", "known")
    shown = json.loads(stack.stack.vedette("--json", "retention", "list"))
    kept = {(row["class"], row["model"]): row["keep"] for row in shown}
    assert kept["dead letter", None] == "14 days" and kept["event", "known"] == "2 years"


def test_the_keeper_keeps(stack: Installation) -> None:
    """Makes the partitions that are missing, at its start and when the database comes back, and says how it is."""
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    there = f"SELECT to_regclass('store.report_{tomorrow:%Y%m%d}') IS NOT NULL"
    drop = f"DROP TABLE store.report_{tomorrow:%Y%m%d}; SELECT 1"
    stack.query(drop, role=ADMIN)
    stack.stack.start_keeper()
    assert stack.value(there, role=ADMIN)
    port = stack.stack.ports.keeper_http
    found = scrape(port)
    assert found["vedette_keeper_chores_total", "partitions"] >= 1 and found["vedette_keeper_chores_total", "prune"] >= 1
    assert found["vedette_keeper_store_connected", ""] == 1 and found["vedette_keeper_chores_failed_total", "prune"] == 0
    stack.query(drop, role=ADMIN)
    stack.forget_sessions()
    stack.stack.postgres.stop()
    stack.wait(lambda: get(port, "/readyz")[0] == 503)
    assert "PostgreSQL" in get(port, "/readyz")[1]
    stack.stack.postgres.start()
    stack.wait(lambda: get(port, "/readyz")[0] == 200)
    stack.wait(lambda: stack.value(there, role=ADMIN))


def test_a_chore_that_fails_is_told_and_tried_again(stack: Installation) -> None:
    """And the other chores go on."""
    stack.query("REVOKE EXECUTE ON FUNCTION store.prune FROM vedette_keeper; SELECT 1", role=ADMIN)
    process = stack.stack.start_keeper(ready=False)
    port = stack.stack.ports.keeper_http
    stack.wait(lambda: process.alive() and _answers(port) and scrape(port)["vedette_keeper_chores_failed_total", "prune"] >= 1)
    stack.wait(lambda: scrape(port)["vedette_keeper_chores_total", "partitions"] >= 1)
    status, text = get(port, "/readyz")
    assert status == 503 and "prune" in text


def _answers(port: int) -> bool:
    try:
        return get(port, "/healthz")[0] == 200
    except OSError:
        return False
