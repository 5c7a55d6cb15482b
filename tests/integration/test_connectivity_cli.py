"""What the operator sees and says of connectivity: the history of a device, maintenance, models, visits."""

from __future__ import annotations

import datetime as dt
import os
import pwd
import subprocess
from typing import Any

import pytest
from deploy.local.processes import environment
from deploy.local.stack import ROOT
from test_cli import Cli, cli  # noqa: F401 (the fixture)

NOW = dt.datetime.now(dt.UTC)
LOGIN = pwd.getpwuid(os.getuid()).pw_name
MINUTES = [dt.timedelta(minutes=minute) for minute in range(61)]


def at(text: str) -> dt.datetime:
    """A time of JSON."""
    return dt.datetime.fromisoformat(text)


def add_device(cli: Cli, credential: str, model: str = "m", **fields: str) -> None:
    """Registers one, made a day ago."""
    cli("device", "add", credential, "--model", model, *(word for name, value in fields.items() for word in (f"--{name}", value)))
    cli.sql("UPDATE store.device SET created_at = %s WHERE credential = %s", NOW - dt.timedelta(days=1), credential)


def put_change(cli: Cli, credential: str, minutes_ago: int, state: str, reason: str) -> None:
    """A change of connectivity as analysis writes it, which holds from then on."""
    values = (NOW - MINUTES[minutes_ago], state, reason, credential)
    cli.sql("INSERT INTO store.connectivity_change SELECT id, 1000 - %s, 1, %s, %s, %s FROM store.device WHERE credential = %s",
            minutes_ago, *values)
    cli.sql("INSERT INTO store.connectivity_now (since, state, reason, device) SELECT %s, %s, %s, id FROM store.device WHERE credential = %s"
            " ON CONFLICT (device) DO UPDATE SET since = excluded.since, state = excluded.state, reason = excluded.reason", *values)


def put_blind(cli: Cli, minutes_ago: int, until_minutes_ago: int | None, reason: str) -> None:
    """A time for which we were blind; None: until now."""
    ended = None if until_minutes_ago is None else NOW - MINUTES[until_minutes_ago]
    cli.sql("INSERT INTO store.blind_interval VALUES (%s, %s, %s)", NOW - MINUTES[minutes_ago], ended, reason)


def put_firmware(cli: Cli, credential: str, *versions: str) -> None:
    """What it said it runs, the last one newest."""
    for number, version in enumerate(versions):
        cli.sql("INSERT INTO store.firmware (time, received, boot, sequence, batch, device, publisher, verification, version)"
                " SELECT %s, now(), 1, %s, 1, id, id, 0, %s FROM store.device WHERE credential = %s",
                NOW - MINUTES[50 - number], number, version, credential)


# The history of a device


def test_history_with_reasons(cli: Cli) -> None:
    """Changes and blind intervals in order of time, below what holds now; other devices' changes are not in it."""
    add_device(cli, "pump-1")
    add_device(cli, "pump-2")
    cli("model", "set", "m", "--class", "battery", "--cadence", "60s")
    put_change(cli, "pump-1", 50, "online", "first report")
    put_change(cli, "pump-2", 45, "online", "of another")
    put_blind(cli, 40, 30, "broker")
    put_change(cli, "pump-1", 20, "silent", "nothing for 5 min")
    shown = cli("connectivity", "pump-1", "--json").json
    assert [(change["state"], change["reason"]) for change in shown["changes"]] == [
        ("online", "first report"), ("unknown", "we were blind: broker was away"), ("seeing", "we see again"), ("silent", "nothing for 5 min")]
    assert [at(change["at"]) for change in shown["changes"]] == [NOW - MINUTES[minute] for minute in (50, 40, 30, 20)]
    assert at(shown.pop("since")) == NOW - MINUTES[20] and shown.pop("for_s") >= 20 * 60
    assert {key: value for key, value in shown.items() if key != "changes"} == {
        "credential": "pump-1", "model": "m", "class": "battery", "cadence_s": 60, "connectivity": "silent", "reason": "nothing for 5 min"}
    first, empty, heading, *rows = cli("connectivity", "pump-1").out.splitlines()
    assert first.startswith("pump-1: silent since ") and first.endswith(": nothing for 5 min; class battery, cadence 60 s")
    assert (empty, heading.split(), len(rows)) == ("", ["at", "state", "reason"], 4)
    assert rows[0].endswith("online   first report") and rows[3].endswith("silent   nothing for 5 min")


def test_history_is_cut(cli: Cli) -> None:
    """The newest N, still oldest first, with a word that there may be more; from a time on, until a time."""
    add_device(cli, "pump-1")
    for minute in range(60, 0, -1):
        put_change(cli, "pump-1", minute, "online" if minute % 2 else "silent", f"{minute} min ago")

    def reasons(*words: str) -> list[str]:
        return [change["reason"] for change in cli("connectivity", "pump-1", "--json", *words).json["changes"]]

    assert reasons() == [f"{minute} min ago" for minute in range(50, 0, -1)]
    assert reasons("--limit", "2") == ["2 min ago", "1 min ago"]
    assert reasons("--limit", "2", "--until", (NOW - MINUTES[10]).isoformat()) == ["12 min ago", "11 min ago"]
    assert reasons("--since", (NOW - MINUTES[10]).isoformat(), "--until", (NOW - MINUTES[8]).isoformat()) == ["10 min ago", "9 min ago"]
    assert reasons("--until", "2001-01-01") == []
    assert "larger --limit" in cli("connectivity", "pump-1").err
    assert cli("connectivity", "pump-1", "--limit", "100").err == ""
    assert "no change in that time" in cli("connectivity", "pump-1", "--until", "2001-01-01").out


def test_blind_now(cli: Cli) -> None:
    """Unknown, since we are blind and because of that, not since and because of the last change."""
    add_device(cli, "pump-1")
    put_change(cli, "pump-1", 50, "online", "first report")
    put_blind(cli, 10, None, "ingest")
    shown = cli("connectivity", "pump-1", "--json").json
    assert (shown["connectivity"], at(shown["since"]), shown["reason"]) == ("unknown", NOW - MINUTES[10], "we are blind: ingest is away")
    assert [change["state"] for change in shown["changes"]] == ["online", "unknown"]
    assert "pump-1: unknown since " in cli("connectivity", "pump-1").out


def test_never_seen_and_retired(cli: Cli) -> None:
    """What has no since and no reason says none."""
    add_device(cli, "pump-1")
    assert cli("connectivity", "pump-1").out == "pump-1: never seen; class mains, cadence -\n\nno change in that time\n"
    shown = cli("connectivity", "pump-1", "--json").json
    assert (shown["connectivity"], shown["since"], shown["reason"], shown["cadence_s"], shown["changes"]) == ("never seen", None, None, None, [])
    put_change(cli, "pump-1", 50, "online", "first report")
    cli.sql("UPDATE store.device SET life = 'retired'")
    assert cli("connectivity", "pump-1").out.startswith("pump-1: retired; class mains")


def test_reasons_cannot_steer_the_terminal(cli: Cli) -> None:
    """Escapes in text, ASCII in JSON."""
    add_device(cli, "pump-1")
    put_change(cli, "pump-1", 50, "silent", "\x1b[2J\u202eevil")
    for words in (("connectivity", "pump-1"), ("connectivity", "pump-1", "--json")):
        out = cli(*words).out
        assert "\x1b" not in out and "\u202e" not in out and "evil" in out


# Maintenance


def test_conditions_combine(cli: Cli) -> None:
    """All that are given hold; firmware is what a device said last; retired devices do not count."""
    for number, (model, region, site) in enumerate((("m", "north", "a"), ("m", "north", "b"), ("m", "south", "a"), ("n", "north", "a"))):
        add_device(cli, f"d{number}", model, region=region, site=site)
        put_firmware(cli, f"d{number}", "1.0", "1.1" if number < 2 else "1.2")
    add_device(cli, "gone", region="north")
    cli.sql("UPDATE store.device SET life = 'retired' WHERE credential = 'gone'")

    def matching(*words: str) -> int:
        return int(cli("maintenance", "add", *words, "--for", "1h", "--reason", "r", "--json").json["devices"])

    assert matching("--model", "m") == 3
    assert matching("--region", "north") == 3
    assert matching("--region", "north", "--site", "a") == 2
    assert matching("--region", "north", "--site", "a", "--model", "m") == 1
    assert matching("--firmware", "1.1") == 2
    assert matching("--firmware", "1.0") == 0
    assert matching("--firmware", "1.2", "--model", "n", "--region", "north", "--site", "a", "--device", "d3") == 1
    assert matching("--device", "d0", "--model", "n") == 0
    assert matching("--device", "gone") == 0
    assert len(cli("maintenance", "list", "--json").json) == 9


def test_life_of_a_maintenance(cli: Cli) -> None:
    """Added, listed, ended early; one that is planned is taken back; what is over shows with --all."""
    add_device(cli, "pump-1", region="north")
    added = cli("maintenance", "add", "--region", "north", "--for", "90m", "--reason", "new switch")
    assert added.out.startswith("maintenance 1, from ") and added.out.endswith(": 1 device matches now\n")
    begins = NOW.replace(microsecond=0) + dt.timedelta(days=30)
    planned = cli("maintenance", "add", "--device", "pump-1", "--model", "m", "--from", begins.isoformat(), "--for", "2h", "--reason",
                  "move", "--author", "Ada", "--json").json
    assert (planned["id"], at(planned["begins"]), at(planned["ends"]), planned["author"], planned["devices"]) == (
        2, begins, begins + dt.timedelta(hours=2), "Ada", 1)
    rows = cli("maintenance", "list", "--json").json
    keys = ("id", "state", "device", "model", "region", "site", "firmware", "author", "reason", "withheld", "missing", "ended_by")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        (1, "on", None, None, "north", None, None, LOGIN, "new switch", 0, None, None),
        (2, "planned", "pump-1", "m", None, None, None, "Ada", "move", 0, None, None)]
    assert at(rows[0]["ends"]) - at(rows[0]["begins"]) == dt.timedelta(minutes=90)
    assert "new switch" in cli("maintenance", "list").out
    cli.sql("UPDATE store.maintenance SET withheld = 3 WHERE id = 1")
    assert cli("maintenance", "end", "1").out == "maintenance 1 is over; alerts withheld: 3\n"
    assert cli("maintenance", "end", "2", "--json").json == {"id": 2, "was": "planned", "withheld": 0}
    assert cli("maintenance", "list").out == "no maintenance is on or planned\n"
    (over,) = cli("maintenance", "list", "--all", "--json").json
    assert (over["id"], over["state"], over["ended_by"]) == (1, "over", LOGIN)
    assert "maintenance 1 is over since" in cli("maintenance", "end", "1", code=1).err
    assert "no maintenance 2" in cli("maintenance", "end", "2", code=1).err


def test_the_author_is_not_what_the_environment_says(cli: Cli) -> None:
    """The login name is the system's."""
    add_device(cli, "pump-1")
    forged = environment({name: "somebody" for name in ("USER", "LOGNAME", "USERNAME", "LNAME")})
    subprocess.run(cli.argv("maintenance", "add", "--device", "pump-1", "--for", "1h", "--reason", "r"), env=forged, check=True, timeout=60)
    assert cli.sql("SELECT author FROM store.maintenance") == [(LOGIN,)]


ADD = ("--site", "s", "--reason", "r")
REFUSED: list[tuple[tuple[str, ...], int, str]] = [
    (("maintenance", "add", "--for", "1h", "--reason", "r"), 2, "of what?"),
    (("maintenance", "add", "--site", "s", "--for", "1h"), 2, "--reason"),
    (("maintenance", "add", *ADD), 2, "for how long?"),
    (("maintenance", "add", *ADD, "--for", "1h", "--until", "2h"), 2, "one of them"),
    (("maintenance", "add", *ADD, "--for", "soon"), 2, "--for takes a length of time"),
    (("maintenance", "add", *ADD, "--until", "soon"), 2, "--until takes"),
    (("maintenance", "add", *ADD, "--until", "1h", "--from", "soon"), 2, "--from takes"),
    (("maintenance", "add", *ADD, "--until", "2001-01-01"), 2, "in the past"),
    (("maintenance", "add", *ADD, "--from", "2001-01-01", "--for", "1h"), 2, "in the past"),
    (("maintenance", "add", *ADD, "--for", "0s"), 2, "over already"),
    (("maintenance", "add", *ADD, "--from", "2h", "--until", "1h"), 2, "end before it begins"),
    (("maintenance", "add", *ADD, "--from", "2h", "--for", "0s"), 2, "end before it begins"),
    (("maintenance", "add", *ADD, "--for", "401d"), 2, "longer than 400 days"),
    (("maintenance", "add", *ADD, "--from", "2001-01-01", "--until", "1h"), 2, "longer than 400 days"),
    (("maintenance", "add", "--site", "", "--for", "1h", "--reason", "r"), 2, "--site is empty"),
    (("maintenance", "add", "--site", "s", "--for", "1h", "--reason", ""), 2, "--reason is empty"),
    (("maintenance", "add", "--site", "s", "--for", "1h", "--reason", "r" * 513), 2, "longer than 512 bytes"),
    (("maintenance", "add", "--site", "s", "--for", "1h", "--reason", "a\x1bb"), 2, "control character"),
    (("maintenance", "add", *ADD, "--for", "1h", "--author", ""), 2, "--author is empty"),
    (("maintenance", "add", "--device", "nobody", "--for", "1h", "--reason", "r"), 1, "no device has the credential nobody"),
    (("maintenance", "add", "--model", "none", "--for", "1h", "--reason", "r"), 1, 'no model "none"'),
    (("maintenance", "add", "--device", "pump-1", "--model", "none", "--for", "1h", "--reason", "r"), 1, 'no model "none"'),
    (("maintenance", "end", "x"), 2, "not the number of a maintenance"),
    (("maintenance", "end", "0"), 2, "not the number of a maintenance"),
    (("maintenance", "end", "9" * 19), 2, "not the number of a maintenance"),
    (("maintenance", "end", "4711"), 1, "no maintenance 4711"),
    (("connectivity", "nobody"), 1, "no device has the credential nobody"),
    (("connectivity", "pump-1", "--since", "soon"), 2, "--since takes"),
    (("connectivity", "pump-1", "--until", "soon"), 2, "--until takes"),
    (("connectivity", "pump-1", "--since", "1h", "--until", "2h"), 2, "not after --since"),
    (("connectivity", "pump-1", "--limit", "0"), 2, "whole number"),
    (("model", "set", "m"), 2, "set what?"),
    (("model", "set", "", "--class", "mains"), 2, "NAME is empty"),
    (("model", "set", "x" * 129, "--class", "mains"), 2, "longer than 128 bytes"),
    (("model", "set", "new", "--class", "batery"), 2, "mains, battery or sleeper, not 'batery'; did you mean battery?"),
    (("model", "set", "new", "--cadence", "often"), 2, "--cadence takes a length of time"),
    (("model", "set", "new", "--cadence", "0ms"), 2, "from 1ms to 360d"),
    (("model", "set", "new", "--cadence", "361d"), 2, "from 1ms to 360d"),
    (("model", "set", "new", "--patience", "999ms"), 2, "from 1s to 360d"),
    (("model", "set", "new", "--patience", "361d"), 2, "from 1s to 360d"),
    (("model", "set", "new", "--battery", "Battery"), 2, "no name of a metric"),
    (("model", "set", "new", "--battery", "b" * 65), 2, "longer than 64 bytes"),
    (("model", "set", "m", "--class", "battery", "--cadence", "0s"), 2, "nothing was done"),
    (("device", "visit", "nobody", "1d"), 1, "no device has the credential nobody"),
    (("device", "visit", "nobody", "none"), 1, "no device has the credential nobody"),
    (("device", "visit", "pump-1", "soon"), 2, "WHEN takes"),
    (("device", "visit", "pump-1", "2001-01-01"), 2, "in the past"),
    (("device", "visit", "pump-1"), 2, "something is missing"),
]


def test_refusals_change_nothing(cli: Cli) -> None:
    """Each is one line that says what is wrong, and leaves everything as it was; an erased device is an unknown one."""
    add_device(cli, "pump-1")
    cli.sql("INSERT INTO store.device (credential, model, life) SELECT 'erased', id, 'erased' FROM store.model")
    state = ("SELECT (SELECT jsonb_agg(m ORDER BY id) FROM store.model m), (SELECT count(*) FROM store.maintenance),"
             " (SELECT jsonb_agg(d.next_visit ORDER BY id) FROM store.device d)")
    before = cli.sql(state)
    erased = [((*words, "erased", *more), 1, "no device has the credential erased") for words, more in (
        (("connectivity",), ()), (("device", "visit"), ("1d",)), (("maintenance", "add", "--for", "1h", "--reason", "r", "--device"), ()))]
    for words, code, said in REFUSED + erased:
        done = cli(*words, code=code)
        assert said in done.err and done.err.count("\n") == 1 and done.out == "", (words, done)
        assert cli.sql(state) == before, words


# Models and visits


def test_models(cli: Cli) -> None:
    """Made where there is none; what is not given stays; none takes away."""
    add_device(cli, "pump-1")
    assert cli("model", "set", "meter", "--class", "battery", "--cadence", "1h", "--battery", "battery/level").out == (
        "meter is a new model: class battery, cadence 60 min, patience -, battery battery/level\n")
    assert cli("model", "set", "meter", "--patience", "360d").out == (
        "meter: class battery, cadence 60 min, patience 360 d, battery battery/level\n")
    changed = cli("model", "set", "meter", "--cadence", "1ms", "--battery", "none", "--class", "sleeper", "--json").json
    assert changed == {"model": "meter", "class": "sleeper", "cadence_s": 0.001, "patience_s": 360 * 86400, "battery": None, "created": False}
    assert cli("model", "set", "meter", "--cadence", "none", "--patience", "none", "--json").json["patience_s"] is None
    assert cli("model", "set", "plug", "--cadence", "none", "--json").json["created"] is True
    listed = cli("model", "list", "--json").json
    assert [(row["model"], row["class"], row["cadence_s"], row["patience_s"], row["battery"], row["devices"]) for row in listed] == [
        ("m", "mains", None, None, None, 1), ("meter", "sleeper", None, None, None, 0), ("plug", "mains", None, None, None, 0)]
    assert [line.split()[0] for line in cli("model", "list").out.splitlines()] == ["model", "m", "meter", "plug"]
    cli.sql("DELETE FROM store.device")
    cli.sql("DELETE FROM store.model")
    assert cli("model", "list").out == "there is no model yet\n"


def test_visits(cli: Cli) -> None:
    """Set, shown, taken back; a length is ahead."""
    add_device(cli, "pump-1")
    add_device(cli, "pump-2")
    assert cli("device", "visit", "pump-1", "2999-06-30T09:00Z").out == "pump-1: next visit 2999-06-30T09:00:00+00:00\n"
    assert cli("device", "show", "pump-1", "--json").json["next_visit"] == "2999-06-30T09:00:00.000000Z"
    set_to = at(cli("device", "visit", "pump-1", "7d", "--json").json["next_visit"])
    assert dt.timedelta(days=7) <= set_to - NOW < dt.timedelta(days=8)
    assert cli.sql("SELECT credential FROM store.device WHERE next_visit IS NOT NULL") == [("pump-1",)]
    assert cli("device", "visit", "pump-1", "none").out == "pump-1: no visit is planned\n"
    assert cli("device", "visit", "pump-2", "none", "--json").json == {"credential": "pump-2", "next_visit": None}
    assert cli.sql("SELECT count(*) FROM store.device WHERE next_visit IS NOT NULL") == [(0,)]


# Help and completion


def complete(*words: str) -> set[str]:
    """What the shell offers for the last word."""
    script = 'source "$1"; shift; COMP_WORDS=(vedette "$@"); COMP_CWORD=$#; _vedette; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, "bash", ROOT / "cli" / "vedette.bash-completion", *words], capture_output=True, text=True,
                          env=environment(), timeout=30, check=True)
    return set(done.stdout.split())


def run_plain(build: Any, *words: str) -> str:
    """What the command says without any stack."""
    return subprocess.run([build / "cli" / "vedette", *words], capture_output=True, text=True, env=environment(), timeout=30, check=True).stdout


def test_completion_knows_every_command(build: Any) -> None:
    """Groups, verbs and options are those of the command's own help."""
    listed = [line.split() for line in run_plain(build, "help").split("commands:\n")[1].split("\n\n")[0].splitlines()]
    groups = {words[0] for words in listed}
    assert complete("") == groups
    for group in ("device", "maintenance", "model", "owner", "retention", "erasure"):
        verbs = {line.split()[0] for line in run_plain(build, group, "--help").split("commands:\n")[1].splitlines()}
        assert complete(group, "") == verbs
    for words in (["connectivity"], ["maintenance", "add"], ["maintenance", "list"], ["maintenance", "end"], ["model", "set"], ["device", "visit"]):
        options = {word for line in run_plain(build, *words, "--help").splitlines() for word in line.split()[:1] if word.startswith("--")}
        assert complete(*words, "--") == options
    assert complete("model", "set", "x", "--class", "") == {"mains", "battery", "sleeper"}
    assert complete("model", "set", "x", "--cadence", "") == {"none"}
    assert complete("maintenance", "add", "--reason", "") == set()


@pytest.mark.parametrize("words", ["connectivity", "maintenance add", "maintenance end", "model set", "device visit"])
def test_help_has_examples(build: Any, words: str) -> None:
    """Whole calls, to be copied."""
    assert f"\n  vedette {words} " in run_plain(build, *words.split(), "--help")
