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
MODELS = ("sensor-a", "sensor-b", "meter-a", "gateway-a")
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
    judged = json.loads(stack.vedette_eval("scenarios", "--truth", stack.truth, "--json"))
    print(stack.vedette_eval("scenarios", "--truth", stack.truth, "--all"))
    assert judged
