"""The operator's command on a real database: what it prints, what it changes, how it refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deploy.local.processes import environment, wait_until
from deploy.local.stack import REGISTRY_COLUMNS, ROOT, Stack, registry_csv

IMPORT_LIMIT_S = 60
COMMANDS = ("status", "tail", "deadletter list", "deadletter show", "deadletter replay", "deadletter drop", "ledger", "device list",
            "device show", "device add", "device import", "device export", "firmware list", "firmware add", "firmware import",
            "alert list", "alert show", "journal inspect", "journal verify", "worker list", "worker retire", "owner list", "owner export",
            "retention list", "retention set", "retention clear", "connectivity", "maintenance add", "maintenance list", "maintenance end",
            "model list", "model set", "device visit", "device erase", "owner erase", "erasure list", "migrate", "doctor", "config check", "version")
HEADER = ",".join(REGISTRY_COLUMNS)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, parsed."""
        return json.loads(self.out)


class Cli:
    """Runs `vedette` on a stack whose PostgreSQL is up."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def argv(self, *words: str | Path, config: Path | None = None) -> list[str]:
        """The words of a call."""
        return [str(word) for word in (self.stack.programs.path("vedette"), "--config", config or self.stack.config, *words)]

    def __call__(self, *words: str | Path, text: str | bytes = "", config: Path | None = None, code: int = 0) -> Done:
        """Runs it, checks its exit code and that an error is exactly one line."""
        given = text if isinstance(text, bytes) else text.encode()
        done = subprocess.run(self.argv(*words, config=config), input=given, capture_output=True, timeout=120, env=environment(),
                              cwd=self.stack.folder, check=False)
        result = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert result.code == code, result
        assert result.err.count("vedette: ") == (1 if code and "vedette: " in result.err else 0), result
        return result

    def sql(self, statement: str, *values: Any, role: str = "vedette_admin") -> list[tuple[Any, ...]]:
        """Runs a statement in a session of its own."""
        session = self.stack.postgres.connect(role)
        try:
            with session.cursor() as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            session.close()

    def alert(self, credential: str, sentence: str, explanation: dict[str, Any]) -> None:
        """Raises an alert as analysis does."""
        self.sql("SELECT store.raise_alert(id, 'silent', '', 'critical', now(), %s, %s) FROM store.device WHERE credential = %s",
                 sentence, json.dumps(explanation), credential, role="vedette_admin")

    def batch(self, worker: str, number: int, credential: str, sequence: int) -> None:
        """Commits a batch with one report, as ingest does."""
        session = self.stack.postgres.connect("vedette_admin")
        session.autocommit = False
        with session, session.cursor() as cursor:
            cursor.execute("SELECT id FROM store.feed WHERE worker = %s AND retired_at IS NULL", (worker,))
            (feed,) = cursor.fetchone()
            cursor.execute("INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since,"
                           " reports, rows) VALUES (%s, %s, %s, %s, %s, now(), now(), 1, 1)", (feed, number, number, number + 1, number + 3))
            cursor.execute("INSERT INTO store.report SELECT now(), now(), 1, %s, (%s::bigint << 40) | %s, id, id, 80, 0, 0, 1, '', NULL"
                           " FROM store.device WHERE credential = %s", (sequence, feed, number, credential))
        session.close()


@pytest.fixture
def cli(new_stack: Callable[..., Stack], migrated: Path) -> Cli:
    """The command on a database with the schema of this version."""
    stack = new_stack()
    stack.start_store(template=migrated)
    return Cli(stack)


@pytest.fixture
def fresh(new_stack: Callable[..., Stack], bootstrapped: Path) -> Cli:
    """The command on a database with roles and no schema."""
    stack = new_stack()
    stack.start_store(template=bootstrapped)
    return Cli(stack)


class Live:
    """A command that goes on until it is told to end."""

    def __init__(self, argv: list[str]) -> None:
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.lines: list[str] = []
        self._rest = b""

    def has(self, words: str) -> bool:
        """Whether some line so far has these words."""
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], 0)[0]:
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                break
            *lines, self._rest = (self._rest + got).split(b"\n")
            self.lines += [line.decode() for line in lines]
        return any(words in line for line in self.lines)

    def end(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def live() -> Iterator[Callable[[list[str]], Live]]:
    """Starts live commands and ends them after the test."""
    started: list[Live] = []

    def start(argv: list[str]) -> Live:
        started.append(Live(argv))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


# Usage and configuration


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_help(cli_words: Callable[..., Done], words: str) -> None:
    """`--help` is there, needs neither configuration nor database, and names the options of all commands."""
    done = cli_words(*words.split(), "--help")
    assert done.code == 0
    assert done.out.startswith(f"usage: vedette {words}")
    assert "--json" in done.out


@pytest.mark.parametrize(("words", "hint"), [
    ("stauts", "did you mean 'status'?"), ("device lst", "did you mean 'device list'?"), ("device", "device needs one of: list, show"),
    ("device list --limt 3", "did you mean --limit?"), ("--jsn status", "did you mean --json?"), ("status more", "too many arguments"),
    ("device show", "something is missing"), ("device list --limit x", "whole number"), ("device list --model", "needs a value"),
    ("alert list --state opn", "did you mean open?"), ("alert list --since yesterday", "30m"), ("alert show x", "number"), ("", "which command"),
    ("device add dev-1", "needs a model"), ("firmware add m 1 abc", "64 hexadecimal digits")])
def test_wrong_usage_is_one_line(cli_words: Callable[..., Done], words: str, hint: str) -> None:
    """Exit code 2, one line, and what was probably meant."""
    done = cli_words(*words.split())
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("vedette: ") and done.err.count("\n") == 1
    assert hint in done.err


@pytest.fixture
def cli_words(build: Path) -> Callable[..., Done]:
    """Runs the command without any stack."""

    def run(*words: str) -> Done:
        done = subprocess.run([build / "cli" / "vedette", *words], capture_output=True, text=True, timeout=30, check=False,
                              env=environment({"VEDETTE_CONFIG": "/nowhere/vedette.yaml"}))
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def test_configuration_errors_name_file_line_and_field(cli: Cli) -> None:
    """A wrong value is the sentence of the loader, exit code 2."""
    wrong = cli.stack.folder / "wrong.yaml"
    wrong.write_text(cli.stack.config.read_text().replace("host: ./pg", "host: ./pg\n  port: 99999"))
    done = cli("config", "check", config=wrong, code=2)
    assert re.search(r"wrong\.yaml, line \d+: store\.port", done.err)
    assert "99999" in cli("status", config=wrong, code=2).err
    assert cli("config", "check").out.endswith("is fine\n")
    assert cli("--json", "config", "check").json["fine"] is True


def test_unreachable_database_says_what_was_tried(cli: Cli) -> None:
    """Exit code 1, one line with the address, the role and what to do."""
    away = cli.stack.folder / "away.yaml"
    away.write_text(cli.stack.config.read_text().replace("host: ./pg", "host: ./pg\n  port: 5999"))
    done = cli("status", config=away, code=1)
    assert done.err.count("\n") == 1
    assert all(words in done.err for words in ("port 5999", "vedette_console", "store.host", "away.yaml"))
    other = cli.stack.folder / "other.yaml"
    other.write_text(cli.stack.config.read_text().replace("host: ./pg", "host: ./pg\n  database: nothing"))
    assert "--print-bootstrap" in cli("migrate", config=other, code=1).err


# Migrations


def test_migrate_from_nothing_and_again(fresh: Cli) -> None:
    """All of them run once; the second time there is nothing to do; before that, reading says what to do."""
    assert "vedette migrate" in fresh("status", code=1).err
    listed = fresh("migrate", "--list", "--json").json
    assert len(listed) == len(list((ROOT / "storage" / "migrations").glob("*.sql")))
    assert {row["state"] for row in listed} == {"pending"}
    assert fresh("migrate", "--json").json["applied"] == [row["name"] for row in listed]
    assert fresh("migrate", "--json").json["applied"] == []
    assert {row["state"] for row in fresh("migrate", "--list", "--json").json} == {"applied"}
    assert fresh("status", "--json").json["workers"] == []
    assert fresh("version", "--all", "--json").json["database_at"] == len(listed)


def test_migrate_at_the_same_time(fresh: Cli) -> None:
    """Several at once: each migration runs once, all succeed."""
    many = [subprocess.Popen(fresh.argv("migrate", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
            for _ in range(3)]
    outs = [one.communicate(timeout=120)[0] for one in many]
    assert [one.returncode for one in many] == [0, 0, 0]
    assert sorted(len(json.loads(out)["applied"]) for out in outs)[:2] == [0, 0]


def test_migrate_refuses_what_it_does_not_know(cli: Cli) -> None:
    """An edited migration and a newer database are refused, and nothing changes."""
    cli.sql("UPDATE vedette_meta.vedette_migration SET sha256 = repeat('0', 64) WHERE number = 2")
    assert "0002" in cli("migrate", code=1).err
    assert "changed" in cli("migrate", "--list").out
    cli.sql("INSERT INTO vedette_meta.vedette_migration VALUES (9000, '9000_future.sql', repeat('0', 64), '9.0')")
    assert "newer" in cli("migrate", code=1).err


def test_bootstrap_is_carried_along(cli: Cli) -> None:
    """--print-bootstrap prints storage/bootstrap.sql."""
    assert cli("migrate", "--print-bootstrap").out == (ROOT / "storage" / "bootstrap.sql").read_text()


# Devices

BAD_LINES = {
    3: ("credential", b"a/b,m,,,,,,,"), 4: ("credential", b",m,,,,,,,"), 5: ("model", b"no-model,,,,,,,,"), 6: ("gateway", b"self,m,,,,,self,,"),
    7: ("time_zone", b"tz,m,,,Mars/Base,,,,"), 8: ("gateway", b"orphan,m,,,,,nobody,,"), 9: ("gateway", b"child,m,,,,,tz,,"),
    10: ("gateway", b"grandchild,m,,,,,child,,"), 11: ("credential", b"good-1,m2,,,,,,,"), 12: ("critical", b"bool,m,,,,,,,maybe"),
    13: ("", b"short,m"), 14: ("", b"bad\xff,m,,,,,,,"), 15: ("", b'"open,m,,,,,,,'), 16: ("", b'"q"x,m,,,,,,,'), 17: ("", b"nul\x00,m,,,,,,,"),
    18: ("credential", b"esc\x1b[2J,m,,,,,,,"), 19: ("", b"x" * 70000 + b",m,,,,,,,"), 20: ("credential", b"x" * 129 + b",m,,,,,,,"),
}


def test_import_names_bad_lines_and_takes_the_rest(cli: Cli) -> None:
    """Every bad line by number and column; the rest goes in, at once; a dry run says the same and changes nothing."""
    good = ['last,"mo""del, x",1.0,north,Europe/London,"site, 1",late-gateway,owner ü,YES', "late-gateway,m,,,,,,,0"]
    content = b"\n".join([b"\xef\xbb\xbf" + HEADER.encode() + b"\r", b"good-1,m,,,,,,,", *(line for _, line in BAD_LINES.values()),
                          *(line.encode() for line in good)])
    dry = cli("device", "import", "-", "--dry-run", "--json", text=content, code=1).json
    assert cli.sql("SELECT count(*) FROM store.device") == [(0,)]
    assert cli.sql("SELECT count(*) FROM store.model") == [(0,)]
    done = cli("device", "import", "--json", "-", text=content, code=1).json
    assert {bad["line"]: bad["column"] for bad in done["bad"]} == {line: column for line, (column, _) in BAD_LINES.items()}
    assert (done["created"], done["bad_lines"], dry["created"], dry["bad"]) == (3, len(BAD_LINES), 3, done["bad"])
    assert cli.sql("SELECT credential FROM store.device ORDER BY 1") == [("good-1",), ("last",), ("late-gateway",)]
    shown = cli("device", "show", "last", "--json").json
    assert (shown["model"], shown["gateway"], shown["critical"], shown["site"]) == ('mo"del, x', "late-gateway", True, "site, 1")
    plain = cli("device", "import", "-", text=content, code=1)
    assert "standard input:7: time_zone: " in plain.err
    assert "\x1b" not in plain.err
    assert "0 new, 0 changed, 3 as they were, 18 bad" in plain.out


def test_import_refuses_a_wrong_header(cli: Cli) -> None:
    """Nothing is read behind a header that is not ours."""
    for content in ("", "credential,model\na,b\n", HEADER.upper() + "\n"):
        assert HEADER in cli("device", "import", "-", text=content, code=1).err


def test_import_of_many_is_quick_and_comes_back(cli: Cli) -> None:
    """200,000 devices with gateways in under a minute; the export is the same file; importing it again changes nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(REGISTRY_COLUMNS)
    for n in range(200_000):
        gateway = f"dev-{n // 100 * 100:06d}" if n % 100 else ""
        writer.writerow([f"dev-{n:06d}", f"model {n % 20}", f"1.{n % 7}", f'region "{n % 50}"', ("Europe/London", "UTC")[n % 2],
                         f"site, {n % 1000}", gateway, f"owner {n % 5000}", "yes" if n % 97 == 0 else "no"])
    begun = time.monotonic()
    done = cli("device", "import", "--json", "-", text=out.getvalue()).json
    assert time.monotonic() - begun < IMPORT_LIMIT_S
    assert (done["created"], done["bad_lines"]) == (200_000, 0)
    target = cli.stack.folder / "out.csv"
    assert cli("device", "export", target, "--json").json["devices"] == 200_000
    assert target.read_text() == out.getvalue()
    again = cli("device", "import", "--json", target).json
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 200_000)


def test_add_list_and_show(cli: Cli) -> None:
    """Filters, paging, and a second add that is refused."""
    for n in range(5):
        cli("device", "add", f"dev-{n}", "--model", f"m{n % 2}", "--site", "here", "--time-zone", "Europe/Berlin", "--critical")
    assert "registered already" in cli("device", "add", "dev-1", "--model", "m", code=1).err
    assert "time_zone" in cli("device", "add", "dev-9", "--model", "m", "--time-zone", "No/Where", code=1).err
    assert "gateway" in cli("device", "add", "dev-9", "--model", "m", "--gateway", "nobody", code=1).err
    listed = cli("device", "list", "--model", "m0", "--json").json
    assert [row["credential"] for row in listed] == ["dev-0", "dev-2", "dev-4"]
    assert [row["credential"] for row in cli("device", "list", "--after", "dev-2", "--limit", "1", "--json").json] == ["dev-3"]
    assert cli("device", "list", "--state", "retired", "--json").json == []
    assert len(cli("device", "list", "--state", "never seen", "--json").json) == 5
    assert "no device" in cli("device", "show", "nobody", code=1).err
    assert cli("device", "show", "dev-1", "--json").json["open_alerts"] == []


def test_text_of_devices_cannot_steer_the_terminal(cli: Cli) -> None:
    """Control and direction characters come out as escapes, in tables and in JSON."""
    cli("device", "import", "-", text=registry_csv({"credential": "evil\u202egnp", "model": "m"}))
    listed = cli("device", "list").out
    assert "\u202e" not in listed and "\\u{202E}" in listed
    assert cli("device", "list", "--json").out.isascii()
    cli.alert("evil\u202egnp", "it said \x1b]0;owned\x07", {"observed": {"name": "\x1b[31m"}})
    for words in (("alert", "list"), ("alert", "show", "1"), ("device", "show", "evil\u202egnp")):
        assert "\x1b" not in cli(*words).out and "\x07" not in cli(*words, "--json").out


def test_firmware(cli: Cli) -> None:
    """Adding, importing with a bad line, listing."""
    cli("firmware", "add", "pump", "1.0", "ab" * 32)
    assert cli("firmware", "add", "pump", "1.0", "AB" * 32, "--json").json["changed"] is False
    done = cli("firmware", "import", "--json", "-", text=f"model,version,image_hash\npump,1.1,{'cd' * 32}\nvalve,2,xy\n", code=1).json
    assert (done["created"], done["bad"][0]["line"], done["bad"][0]["column"]) == (1, 3, "image_hash")
    assert [(row["model"], row["version"]) for row in cli("firmware", "list", "--json").json] == [("pump", "1.0"), ("pump", "1.1")]
    assert cli("firmware", "list", "--model", "valve", "--json").json == []


# Alerts, status, workers, tail


def test_alerts(cli: Cli) -> None:
    """The list with its filters, one alert with everything it explains."""
    cli("device", "add", "dev-a", "--model", "m")
    explanation = {"observed": {"gap_s": 31.5}, "expected": "a report every 10 s", "baseline": {"window": "7 d", "reports": 1200},
                   "rank": None, "reports": [{"sequence": 7}, {"sequence": 8}], "clears_when": "a report comes"}
    cli.alert("dev-a", "dev-a is silent", explanation)
    (row,) = cli("alert", "list", "--json").json
    assert (row["credential"], row["severity"], row["state"]) == ("dev-a", "critical", "open")
    assert row["opened_at"].endswith("Z")
    assert cli("alert", "list", "--state", "cleared", "--json").json == []
    assert cli("alert", "list", "--since", "1h", "--device", "dev-a", "--kind", "silent", "--state", "all", "--json").json == [row]
    assert cli("alert", "list", "--since", "2999-01-01", "--json").json == []
    shown = cli("alert", "show", str(row["alert"])).out
    assert all(words in shown for words in ("dev-a is silent", "gap_s: 31.5", "a report every 10 s", "what would clear it: a report comes",
                                            "- sequence: 7", "opened"))
    whole = cli("alert", "show", str(row["alert"]), "--json").json
    assert whole["explanation"] == explanation
    assert [event["change"] for event in whole["timeline"]] == ["opened"]
    assert "no alert 999" in cli("alert", "show", "999", code=1).err


def test_status_counts(cli: Cli) -> None:
    """Workers, devices, reports, dead letters, alerts and gaps, as they are in the store."""
    cli("device", "add", "dev-a", "--model", "m")
    cli.sql("SELECT store.open_feed(gen_random_uuid(), 'ingest-1')")
    for number, sequence in ((1, 1), (2, 2), (3, 6)):
        cli.batch("ingest-1", number, "dev-a", sequence)
    cli.sql("INSERT INTO store.dead_letter VALUES (0, 1, 1, now(), 1, NULL, NULL, 5, 'x', 'y', '\\x00')")
    cli.alert("dev-a", "dev-a is silent", {})
    now = cli("status", "--json").json
    (worker,) = now["workers"]
    assert (worker["worker"], worker["state"], worker["batches"], worker["pending"], worker["not_analysed"]) == ("ingest-1", "running", 3, 2, 3)
    assert now["devices"] == [{"connectivity": "never seen", "devices": 1}]
    assert now["last_minute"][0]["reports"] == 3
    assert now["dead_letters"] == [{"reason": "malformed", "messages": 1}]
    assert [(row["severity"], row["alerts"]) for row in now["alerts"]] == [("critical", 1)]
    assert now["sequence_gaps"] == [{"gaps": 1, "missing_reports": 3, "devices": 1}]
    text = cli("status").out
    assert "ingest-1" in text and "\x1b" not in text


def test_retire_a_worker(cli: Cli) -> None:
    """Without --yes it is explained and nothing happens; with it the feed is closed and what was pending is lost."""
    cli("device", "add", "dev-a", "--model", "m")
    cli.sql("SELECT store.open_feed(gen_random_uuid(), 'ingest-1')")
    cli.batch("ingest-1", 1, "dev-a", 1)
    done = cli("worker", "retire", "ingest-1", code=2)
    assert "2 records" in done.err and "--yes" in done.err
    assert len(cli("worker", "list", "--json").json) == 1
    cli("worker", "retire", "ingest-1", "--yes")
    assert cli("worker", "list", "--json").json == []
    (row,) = cli("worker", "list", "--all", "--json").json
    assert row["retired_at"] is not None
    assert cli.sql("SELECT kind FROM store.batch ORDER BY number") == [("data",), ("lost",)]
    assert "no worker ingest-1" in cli("worker", "retire", "ingest-1", "--yes", code=1).err


def test_tail_shows_what_is_committed(cli: Cli, live: Callable[[list[str]], Live]) -> None:
    """Only what is new, reports and alerts, across a restart of the database; Ctrl-C ends it with 0."""
    cli("device", "add", "dev-a", "--model", "m")
    cli.sql("SELECT store.open_feed(gen_random_uuid(), 'ingest-1')")
    cli.batch("ingest-1", 1, "dev-a", 1)
    text = live(cli.argv("tail"))
    lines = live(cli.argv("--json", "tail", "--device", "dev-a"))
    number = 1

    def publish_and_look() -> bool:
        nonlocal number
        number += 1
        cli.batch("ingest-1", number, "dev-a", number)
        return text.has("report  dev-a") and lines.has('"type":"report"')

    assert wait_until(publish_and_look, 30, step=0.5)
    cli.alert("dev-a", "dev-a is silent", {})
    assert wait_until(lambda: text.has("dev-a is silent") and lines.has('"type":"alert"'), 30)
    cli.stack.postgres.stop()
    cli.stack.postgres.start()
    number += 1
    cli.batch("ingest-1", number, "dev-a", 4711)
    assert wait_until(lambda: text.has("#4711") and lines.has('"sequence":4711'), 30)
    assert not text.has("#1 ")
    assert len([line for line in text.lines if "#4711" in line]) == 1
    assert (text.end(), lines.end()) == (0, 0)
    assert {json.loads(line)["type"] for line in lines.lines} == {"report", "alert"}


def test_status_watch_ends_on_ctrl_c(cli: Cli, live: Callable[[list[str]], Live]) -> None:
    """One JSON object a line."""
    watch = live(cli.argv("status", "--watch", "--json"))
    assert wait_until(lambda: watch.has('"workers"'), 30)
    assert watch.end() == 0
    assert json.loads(watch.lines[0])["devices"] == []


def test_colours_only_on_a_terminal(cli: Cli) -> None:
    """Colours on a terminal, none with --no-color, NO_COLOR or --json."""
    assert "\x1b[" in _on_terminal(cli.argv("status"))
    assert "\x1b[" not in _on_terminal(cli.argv("status", "--no-color"))
    assert "\x1b[" not in _on_terminal(cli.argv("status"), NO_COLOR="1")
    assert "\x1b[" not in _on_terminal(cli.argv("status", "--json"))


def _on_terminal(argv: list[str], **variables: str) -> str:
    """Runs a command with a terminal as its output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(argv, stdout=theirs, stderr=theirs, env=environment({"TERM": "xterm", **variables}))
    os.close(theirs)
    out = b""
    try:
        while got := os.read(ours, 65536):
            out += got
    except OSError:  # Linux says EIO when the other side is closed
        pass
    os.close(ours)
    assert process.wait(30) == 0, out
    return out.decode()


def test_output_that_cannot_be_written_is_an_error(cli: Cli) -> None:
    """A full disk is noticed."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(cli.argv("status"), stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30, check=False)
    assert done.returncode == 1
    assert b"cannot write" in done.stderr
