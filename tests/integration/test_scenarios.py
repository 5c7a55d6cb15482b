"""What goes wrong with connections is found, and what only looks like it is not: a scenario is run and judged by its truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import books
import pytest
from deploy.local.processes import wait_until
from deploy.local.stack import Simulation
from support import Installation

ROOT = Path(__file__).resolve().parents[2]
DEVICES = 60
CADENCE_S = 1.0
LASTS_S = 260
# A day of learning is a minute here.
SETTINGS: dict[str, Any] = {"analysis": {"connectivity": {"slack_s": 0.8, "frozen_learn_h": 0, "guard_s": 5}}}


@pytest.fixture
def settings() -> dict[str, Any]:
    """Of this file's stacks."""
    return SETTINGS


def test_connectivity(tuned: Installation) -> None:
    """Every fault of the shipped scenario is found, and nobody else is called anything."""
    stack = tuned.stack
    simulation = stack.reachable(Simulation(devices=DEVICES, scenario=ROOT / "deploy/scenarios/connectivity.yaml"))
    stack.register_simulated(simulation)
    for (model,) in tuned.query("SELECT model FROM vedette.model"):
        stack.vedette("model", "set", model, "--cadence", f"{CADENCE_S:g}s", "--battery", "battery")
    stack.start_ingest()
    stack.start_analysis()
    simulator = stack.start_simulator(simulation, "--cadence", f"{CADENCE_S:g}", "--duration", str(LASTS_S))
    assert wait_until(lambda: not simulator.alive(), LASTS_S + books.END_S), "the simulator goes on"
    books.finish(tuned)
    print(stack.vedette_eval("scenarios", "--truth", stack.truth, "--all"))
    judged = json.loads(stack.vedette_eval("scenarios", "--truth", stack.truth, "--json"))
    kinds = {row["kind"]: row for row in judged["kinds"]}
    assert {kind for kind, row in kinds.items() if row["truths"] > 0} >= {"silent", "link lost", "flapping", "frozen", "partial loss", "clock", "battery"}
    for kind, row in kinds.items():
        assert row["missed"] == 0, f"{kind}: missed {judged['missed']}"
        assert row["false_positives"] == 0, f"{kind}: false {judged['false_raises']}"
    # Each of them is one alert, however often it drops or boots; silence is none, but of the device that is marked critical.
    assert [kinds[kind]["alerts"] for kind in ("flapping", "reboot loop", "silent", "link lost", "cohort silent")] == [1, 1, 1, 0, 0]
