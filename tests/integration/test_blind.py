"""We know when we are blind: whatever is away, one alert says so, nobody is called absent for it, and who died meanwhile is found."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import books
import pytest
from deploy.local.processes import wait_until
from deploy.local.stack import Simulation
from support import Installation

DEVICES = 20
DEAD = ("sim-00003", "sim-00004", "sim-00005")
BLIND_S = 5        # an alert after this
KILL_AT = 20       # reports of each device, one a second; by then everybody has shown a rhythm of its own
SETTINGS: dict[str, Any] = {"analysis": {"connectivity": {"blind_s": BLIND_S, "slack_s": 0.6}, "rate": {"window_s": 3600}}}
SCENARIO = """version: 1
from: connected
faults:
  - name: died while nobody looked
    kind: silence
    devices: [3, 4, 5]
    start: 28
"""


def start(installation: Installation) -> None:
    """Everything runs, and everybody is known."""
    stack = installation.stack
    scenario = stack.folder / "blind.yaml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    simulation = stack.reachable(Simulation(devices=DEVICES, scenario=Path(scenario)))
    stack.register_simulated(simulation)
    stack.start_ingest()
    stack.start_analysis()
    stack.start_simulator(simulation, "--cadence", "1")
    installation.wait_for("SELECT count(*)::int FROM (SELECT FROM vedette.report GROUP BY device HAVING count(*) >= %s) d", KILL_AT,
                          expect=DEVICES, deadline=books.END_S)


def dead(installation: Installation) -> set[str]:
    """Who has died, as the simulator says."""
    truth = installation.stack.truth
    return {json.loads(line)["device"] for line in truth.read_text(encoding="utf-8").splitlines()} if truth.exists() else set()


def has_blind_alert(installation: Installation) -> bool:
    """Whether it is said already."""
    return bool(installation.query("SELECT FROM vedette.alert_open WHERE kind = 'blind'"))


def expect_truth(installation: Installation, away: str) -> None:
    """After the recovery: one alert, cleared; one interval; the dead are found, and nobody else was called absent."""
    installation.wait_for("SELECT array_agg(credential ORDER BY credential) FROM vedette.device WHERE connectivity IN ('silent', 'link lost')",
                          expect=list(DEAD), deadline=60)
    installation.wait_for("SELECT count(*)::int FROM vedette.device WHERE connectivity IN ('online', 'late')", expect=DEVICES - len(DEAD), deadline=60)
    installation.wait_for("SELECT string_agg(state, ' ') FROM vedette.alert WHERE kind = 'blind'", expect="cleared", deadline=60)
    assert installation.query("SELECT credential, kind FROM vedette.alert") == [("vedette", "blind")]
    assert installation.query("SELECT DISTINCT credential FROM vedette.connectivity_change WHERE state IN ('silent', 'link lost')"
                              " AND credential <> ALL (%s)", list(DEAD)) == []
    ((reason, ended, took),) = installation.query("SELECT reason, ended IS NOT NULL, seconds FROM vedette.blind_interval")
    assert (reason, ended) == (away, True)
    assert BLIND_S <= took < 60
    words = installation.stack.vedette("--json", "connectivity", DEAD[0])
    assert [row["state"] for row in json.loads(words)["changes"]][-1] == "silent"


@pytest.fixture
def settings() -> dict[str, Any]:
    """Of this file's stacks."""
    return SETTINGS


@pytest.mark.parametrize("away", ["ingest", "broker"])
def test_what_takes_messages_is_away(tuned: Installation, away: str) -> None:
    """While it is away the alert is there; afterwards all is as if it had not been, but for the dead. (Without a broker a simulated device
    cannot fall silent: these do when they are connected again, and never send.)"""
    start(tuned)
    program = {"ingest": "vedette-ingest", "broker": "mosquitto"}[away]
    tuned.kill9(program)
    tuned.wait(lambda: (dead(tuned) == set(DEAD) or away == "broker") and has_blind_alert(tuned), books.END_S)
    assert tuned.query("SELECT DISTINCT connectivity FROM vedette.device") == [("unknown",)]
    if away == "ingest":
        tuned.stack.start_ingest()
    else:
        tuned.stack.start_broker()
    expect_truth(tuned, away)


def test_the_store_is_away(tuned: Installation) -> None:
    """Nobody can say anything meanwhile; afterwards it is told."""
    start(tuned)
    tuned.kill9("postgres")
    gone = time.monotonic()
    assert wait_until(lambda: dead(tuned) == set(DEAD) and time.monotonic() - gone > 2 * BLIND_S, books.END_S)
    tuned.stack.postgres.start()
    expect_truth(tuned, "store")
