"""`vedette-eval scenarios` on a real store: figures, lists, JSON, and how it refuses."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deploy.local.processes import environment
from support import Installation

ADMIN = "vedette_admin"
DEVICES = ("dev-a", "dev-b", "dev-c", "gw", "child")


class Eval:
    """A store in which things are raised, a truth file, and the program that compares them. Times are seconds after 10:00:00."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.truth = installation.stack.folder / "truth.jsonl"
        self.truth.write_text("")
        self._place = 0
        installation.register(*DEVICES)

    def happened(self, kind: str, device: str, start: float, end: float | None, **more: str) -> None:
        """Adds a line of truth."""
        line = {"fault": f"the {kind}", "kind": kind, "device": device, **more, "start": at(start), "end": None if end is None else at(end)}
        with self.truth.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def sql(self, statement: str, *values: Any) -> None:
        """Runs a statement without rows as the administrator."""
        with contextlib.closing(self.installation.stack.postgres.connect(ADMIN)) as session, session.cursor() as cursor:
            cursor.execute(statement, values)

    def alert(self, kind: str, device: str, opened: float, cleared: float | None = None, key: str = "") -> None:
        """An alert, as analysis leaves it; `vedette` is the system itself."""
        self.sql(
            "INSERT INTO store.alert (device, kind, key, state, severity, opened_at, changed_at, cleared_at, sentence, explanation)"
            " VALUES (coalesce((SELECT id FROM store.device WHERE credential = %s), 0), %s, %s, %s, 'major', %s, %s, %s, %s, '{}')",
            device, kind, key, "open" if cleared is None else "cleared", at(opened), at(opened), cleared and at(cleared),
            f"{device} is of kind {kind}.")

    def state(self, state: str, device: str, when: float) -> None:
        """A change of connectivity."""
        self._place += 1
        self.sql(
            "INSERT INTO store.connectivity_change (device, step, place, at, state, reason)"
            " SELECT id, 1, %s, %s, %s, 'because' FROM store.device WHERE credential = %s", self._place, at(when), state, device)

    def run(self, *words: str | Path, code: int = 0, config: Path | None = None) -> str:
        """Runs `vedette-eval scenarios`. Returns what it printed, or its one line of error."""
        stack = self.installation.stack
        argv = [stack.programs.path("vedette-eval"), "scenarios", "--config", config or stack.config, *words]
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=60, check=False,
                              env=environment({"TZ": "UTC"}))
        assert done.returncode == code, done
        if code == 0:
            assert done.stderr == ""
            return done.stdout
        assert done.stdout == "" and done.stderr.startswith("vedette-eval: ") and done.stderr.count("\n") == 1, done
        return done.stderr

    def text(self, *words: str) -> str:
        """What it tells people."""
        return self.run("--truth", self.truth, *words)

    def json(self, *words: str) -> Any:
        """What it tells programs."""
        return json.loads(self.run("--truth", self.truth, "--json", *words))


def at(seconds: float) -> str:
    """A time of the one morning on which all this happens."""
    whole = int(seconds)
    return f"2026-01-31T{10 + whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{int(seconds % 1 * 1000):03d}Z"


@pytest.fixture
def judge(stack: Installation) -> Eval:
    """Nothing happened yet."""
    return Eval(stack)


@pytest.fixture
def morning(judge: Eval) -> Eval:
    """Some of everything."""
    judge.happened("crash", "dev-a", 100, None)
    judge.happened("crash", "dev-a", 100, 200)
    judge.happened("silence", "dev-b", 100, 200)
    judge.happened("silence", "dev-c", 300, 400)
    judge.happened("login_failures", "dev-c", 500, 600)
    judge.happened("silence", "gw", 700, 800)
    judge.happened("silence", "child", 700, 800, through="gw")
    judge.happened("duplicate", "dev-a", 900, 1000)
    judge.happened("sleep", "dev-b", 900, 1000)
    judge.happened("value", "dev-c", 900, 1000, expect="none")
    judge.state("link lost", "dev-a", 110.5)
    judge.state("silent", "dev-a", 130)      # again, in other words
    judge.state("online", "dev-a", 201)      # is no raise
    judge.state("silent", "dev-b", 120)
    judge.state("silent", "dev-b", 2000)     # false
    judge.state("silent", "gw", 730)
    judge.state("silent", "child", 740)
    judge.alert("silent", "dev-b", 120, 200)
    judge.alert("silent", "dev-b", 2000)
    judge.alert("message rate", "dev-a", 910)
    judge.alert("message rate", "dev-c", 910)
    judge.alert("cohort silent", "vedette", 125, 210, key="north")
    return judge


def of(result: Any, kind: str) -> Any:
    """The figures of a kind."""
    (figures,) = [row for row in result["kinds"] if row["kind"] == kind]
    return figures


def test_figures_for_programs(morning: Eval) -> None:
    """Every figure of a kind, the lists whole, null where nothing can be divided."""
    result = morning.json()
    assert of(result, "silent") == {
        "kind": "silent", "truths": 3, "raised": 5, "true_positives": 2, "false_positives": 1, "repeats": 1, "excused": 1, "found": 2,
        "missed": 1, "precision": 0.667, "recall": 0.667, "delay_median_s": 25.0, "delay_p95_s": 30.0, "alerts": 2}
    lost = of(result, "link lost")
    assert (lost["truths"], lost["found"], lost["delay_median_s"], lost["alerts"]) == (1, 1, 10.5, 0)
    logins = of(result, "login failures")
    assert (logins["missed"], logins["recall"], logins["precision"], logins["delay_median_s"]) == (1, 0, None, None)
    rate = of(result, "message rate")
    assert (rate["raised"], rate["excused"], rate["false_positives"], rate["precision"], rate["recall"]) == (2, 1, 1, 0, None)
    assert of(result, "battery")["truths"] == 0  # all kinds are there
    assert of(result, "cohort silent")["raised"] == 0 and of(result, "cohort silent")["alerts"] == 1
    assert [(row["device"], row["fault"], row["expected"], row["start"]) for row in result["missed"]] == [
        ("dev-c", "the silence", "silent", "2026-01-31T10:05:00.000000Z"),
        ("dev-c", "the login_failures", "login failures", "2026-01-31T10:08:20.000000Z")]
    assert [(row["device"], row["kind"], row["opened_at"], row["sentence"]) for row in result["false_raises"]] == [
        ("dev-b", "silent", "2026-01-31T10:33:20.000000Z", "because"),
        ("dev-c", "message rate", "2026-01-31T10:15:10.000000Z", "dev-c is of kind message rate.")]
    assert result["system"] == [{
        "kind": "cohort silent", "key": "north", "opened_at": "2026-01-31T10:02:05.000000Z", "cleared_at": "2026-01-31T10:03:30.000000Z",
        "verdict": None, "sentence": "vedette is of kind cohort silent."}]
    assert [(row["fault"], row["count"]) for row in result["not_judged"]] == [("duplicate", 1), ("silence", 1), ("sleep", 1), ("value", 1)]
    assert (result["since"], result["until"], result["grace_s"]) == (None, None, 60)


def test_figures_for_people(morning: Eval) -> None:
    """Columns in line, n/a where nothing can be divided, kinds of which there is nothing left out, lists below."""
    text = morning.text()
    table = text.split("\n\n")[0].splitlines()
    assert table[0].split("  ")[0] == "kind" and table[0].endswith("alerts")
    assert len({len(line) for line in table}) == 1  # numbers are flush right
    rows = {line[:16].strip(): line[16:].split() for line in table[1:]}
    assert rows["silent"] == ["3", "5", "2", "1", "1", "1", "2", "1", "0.667", "0.667", "25.0", "30.0", "2"]
    assert rows["login failures"][8:12] == ["n/a", "0.000", "n/a", "n/a"]
    assert set(rows) == {"silent", "link lost", "message rate", "login failures", "cohort silent"}
    assert "\nmissed: 2\n" in text and "\nfalse raises: 2\n" in text and "\nof the system itself: 1\n" in text and "\nnot judged: 4\n" in text
    assert "2026-01-31T10:08:20+00:00" in text and "a gateway has the fault" in text


def test_window_grace_and_kinds(morning: Eval) -> None:
    """--since and --until cut, --grace changes what still counts, --kind chooses what is shown."""
    later = morning.json("--since", "2026-01-31T10:03:00Z", "--until", "2026-01-31T10:20:00Z")
    assert (of(later, "silent")["truths"], of(later, "silent")["raised"], of(later, "silent")["alerts"]) == (2, 2, 0)
    assert (later["since"], later["until"]) == ("2026-01-31T10:03:00.000000Z", "2026-01-31T10:20:00.000000Z")
    assert of(later, "cohort silent")["alerts"] == 0 and later["system"] == []
    morning.happened("frozen", "dev-a", 3000, 3100)
    morning.state("frozen", "dev-a", 3105)
    assert of(morning.json("--grace", "5"), "frozen")["found"] == 1
    assert of(morning.json("--grace", "4"), "frozen")["false_positives"] == 1
    shown = morning.json("--kind", "login failures", "--kind=battery")
    assert [row["kind"] for row in shown["kinds"]] == ["battery", "login failures"]
    assert len(shown["missed"]) == 1 and shown["false_raises"] == [] and shown["system"] == []
    text = morning.text("--kind", "battery")
    assert text.splitlines()[1].split()[:2] == ["battery", "0"] and "missed" not in text.split("\n", 1)[1]


def test_the_system_and_expect(judge: Eval) -> None:
    """A truth about the system judges it; `expect` overrides, with kinds too that nobody knows yet."""
    judge.happened("crash", "vedette", 100, 200, expect="cohort silent", cohort="north")
    judge.happened("value", "dev-a", 100, 200, expect="odd value")
    judge.alert("cohort silent", "vedette", 130, key="north")
    judge.alert("blind", "vedette", 130)
    judge.alert("odd value", "dev-a", 140)
    result = judge.json()
    assert (of(result, "cohort silent")["found"], of(result, "cohort silent")["precision"]) == (1, 1)
    assert of(result, "blind")["raised"] == 0 and of(result, "odd value")["found"] == 1
    assert {row["kind"]: row["verdict"] for row in result["system"]} == {"cohort silent": "true", "blind": None}


def test_lists_are_cut_for_people(judge: Eval) -> None:
    """Twenty of each, all with --all; what others wrote cannot steer the terminal."""
    for number in range(23):
        judge.happened("silence", "dev-a", 100 * number, 100 * number + 10)
        judge.alert("clock", "dev-b", 100 * number, 100 * number + 1)
    judge.happened("drain", "zero-\x1b[31m", 0, 1)
    text = judge.text()
    assert "\nmissed: 24\n" in text and "… and 4 more; --all lists them\n" in text and "… and 3 more" in text
    assert text.count("the silence") == 20
    whole = judge.text("--all")
    assert whole.count("the silence") == 23 and "more; --all" not in whole
    assert "\x1b" not in whole and "zero-" in whole
    assert len(judge.json()["missed"]) == 24


def test_nothing_at_all(judge: Eval) -> None:
    """An empty truth and an empty store are no error."""
    assert judge.text() == "nothing was expected, and nothing was raised\n"
    assert judge.json()["missed"] == []


def test_an_open_end_lasts(judge: Eval) -> None:
    """A fault whose end is missing goes on until the newest that is known, or until --until."""
    judge.happened("silence", "dev-a", 100, None)
    judge.state("silent", "dev-a", 5000)
    assert of(judge.json(), "silent")["delay_median_s"] == 4900
    cut = judge.json("--until", at(1000))
    assert (of(cut, "silent")["missed"], cut["missed"][0]["end"]) == (1, None)


@pytest.mark.parametrize(("line", "words"), [
    ("{", "line 2: is not JSON"), ("[]", "line 2: has to be a JSON object"), ("{}", "line 2: `fault` is missing"),
    ('{"fault":"a","kind":"b","device":"c","start":"soon"}', "line 2: `start` has to be a time"),
    ('{"fault":"a","kind":"b","device":"c","start":"2026-01-31T10:00:00Z","end":"2026-01-30T10:00:00Z"}', "line 2: `end` is before `start`"),
    (" " * 20000, "line 2: is longer than 16384 bytes")])
def test_a_wrong_line_is_named(judge: Eval, line: str, words: str) -> None:
    """File, line and what is wrong; exit code 1."""
    judge.happened("silence", "dev-a", 1, 2)
    with judge.truth.open("a") as file:
        file.write(line + "\n")
    assert f"truth.jsonl, {words}" in judge.run("--truth", judge.truth, code=1)


def test_what_cannot_be_read(judge: Eval) -> None:
    """Files and stores that are not there."""
    folder = judge.installation.stack.folder
    assert "nowhere: cannot be read: No such file" in judge.run("--truth", "nowhere", code=1)
    assert "cannot be read: Is a directory" in judge.run("--truth", folder, code=1)
    assert "nowhere.yaml" in judge.run("--truth", judge.truth, config=folder / "nowhere.yaml", code=2)
    judge.sql("ALTER VIEW vedette.alert RENAME TO gone")
    assert "run `vedette migrate`" in judge.run("--truth", judge.truth, code=1)
    judge.installation.kill9("postgres")
    assert "cannot reach database vedette" in judge.run("--truth", judge.truth, code=1)


@pytest.mark.parametrize(("words", "hint"), [
    ("", "which command? vedette-eval --help"), ("scenaros", "did you mean 'scenarios'?"), ("scenarios", "--truth FILE"),
    ("scenarios --truth", "needs a value"), ("scenarios --truht x", "did you mean --truth?"), ("scenarios --truth x y", "too many arguments"),
    ("scenarios --truth x --since never", "--since takes 30m"), ("scenarios --truth x --until never", "--until takes 30m"),
    ("scenarios --truth x --since 1h --until 2h", "--since 1h is after --until 2h"), ("scenarios --truth x --grace -1", "whole number"),
    ("scenarios --truth x --kind silnet", "did you mean silent?"), ("scenarios --truth x --kind volcano", "nothing of kind 'volcano'"),
    ("scenarios --nothing", "see vedette-eval scenarios --help")])
def test_wrong_usage_is_one_line(program: Callable[..., subprocess.CompletedProcess[str]], words: str, hint: str) -> None:
    """Exit code 2, one line, and what was probably meant."""
    done = program(*words.split())
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("vedette-eval: ") and done.stderr.count("\n") == 1
    assert hint in done.stderr


def test_help_and_version(program: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """They need neither configuration nor store."""
    assert program("--help").stdout.startswith("usage: vedette-eval [--config FILE]")
    shown = program("scenarios", "--help")
    assert shown.returncode == 0 and shown.stdout.startswith("usage: vedette-eval scenarios [options]") and "--grace SECONDS" in shown.stdout
    assert program("--version").stdout.startswith("vedette-eval ")
    assert set(json.loads(program("--json", "version").stdout)) == {"vedette-eval"}


@pytest.fixture
def program(build: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs it without any store."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([build / "analysis" / "vedette-eval", *words], capture_output=True, text=True, timeout=30, check=False,
                              env=environment({"VEDETTE_CONFIG": "/nowhere/vedette.yaml"}))

    return run
