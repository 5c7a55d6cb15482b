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
# A day of learning is a minute here.
SETTINGS: dict[str, Any] = {"analysis": {"connectivity": {"slack_s": 0.8, "frozen_learn_h": 0, "guard_s": 5}}}


@pytest.fixture
def settings() -> dict[str, Any]:
    """Of this file's stacks."""
    return SETTINGS


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


def test_connectivity(tuned: Installation) -> None:
    """Every fault of the shipped scenario is found, and nobody else is called anything."""
    stack = tuned.stack
    run(tuned, "connectivity.yaml", 60, 260, cadence_s=1)
    print(stack.vedette_eval("scenarios", "--truth", stack.truth, "--all"))
    judged = json.loads(stack.vedette_eval("scenarios", "--truth", stack.truth, "--json"))
    kinds = {row["kind"]: row for row in judged["kinds"]}
    assert {kind for kind, row in kinds.items() if row["truths"] > 0} >= {"silent", "link lost", "flapping", "frozen", "partial loss", "clock", "battery"}
    for kind, row in kinds.items():
        assert row["missed"] == 0, f"{kind}: missed {judged['missed']}"
        assert row["false_positives"] == 0, f"{kind}: false {judged['false_raises']}"
    # Each of them is one alert, however often it drops or boots; silence is none, but of the device that is marked critical.
    assert [kinds[kind]["alerts"] for kind in ("flapping", "reboot loop", "silent", "link lost", "cohort silent")] == [1, 1, 1, 0, 0]


def test_a_region_is_one_alert(tuned: Installation) -> None:
    """Thirty devices of a region go and come back: one alert names the region, another the return."""
    run(tuned, "outage.yaml", 120, 260, cadence_s=2)
    raised = tuned.query("SELECT kind, key, state, sentence FROM vedette.alert WHERE credential = 'vedette' ORDER BY opened_at")
    assert [(kind, key) for kind, key, _, _ in raised] == [("cohort silent", "site:oslo-1"), ("reconnect storm", "return")]  # all of the region
    assert raised[0][2] == "cleared"
    assert "site oslo-1" in raised[0][3] and "site oslo-1" in raised[1][3]
    assert tuned.query("SELECT kind, credential FROM vedette.alert a JOIN vedette.device d USING (credential) WHERE NOT d.critical") == []
