"""Runs a shipped scenario on an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import books
from deploy.local.processes import wait_until
from deploy.local.stack import Simulation
from support import Installation

ROOT = Path(__file__).resolve().parents[2]
# A day of learning is a minute here.
SETTINGS: dict[str, Any] = {"analysis": {"connectivity": {"slack_s": 0.8, "frozen_learn_h": 0, "guard_s": 5}}}


def run(installation: Installation, scenario: str, devices: int, lasts_s: int, *, cadence_s: float) -> None:
    """The whole of a shipped scenario, until analysis is through with it."""
    stack = installation.stack
    simulation = stack.reachable(Simulation(devices=devices, scenario=ROOT / "deploy/scenarios" / scenario))
    stack.register_simulated(simulation)
    for (model,) in installation.query("SELECT model FROM vedette.model"):
        stack.vedette("model", "set", model, "--cadence", f"{cadence_s:g}s", "--battery", "battery")
    stack.start_ingest()
    stack.start_analysis()
    simulator = stack.start_simulator(simulation, "--cadence", f"{cadence_s:g}", "--duration", str(lasts_s))
    assert wait_until(lambda: not simulator.alive(), lasts_s + books.END_S), "the simulator goes on"
    books.finish(installation)
