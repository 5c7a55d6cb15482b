"""What goes wrong with connections is found, and what only looks like it is not: a scenario is run and judged by its truth."""

from __future__ import annotations

import json
from typing import Any

import pytest
import scenarios
from support import Installation


@pytest.fixture
def settings() -> dict[str, Any]:
    """Of this file's stacks."""
    return scenarios.SETTINGS


def test_connectivity(tuned: Installation) -> None:
    """Every fault of the shipped scenario is found, and nobody else is called anything."""
    stack = tuned.stack
    scenarios.run(tuned, "connectivity.yaml", 60, 260, cadence_s=1)
    print(stack.vedette_eval("scenarios", "--truth", stack.truth, "--all"))
    judged = json.loads(stack.vedette_eval("scenarios", "--truth", stack.truth, "--json"))
    kinds = {row["kind"]: row for row in judged["kinds"]}
    assert {kind for kind, row in kinds.items() if row["truths"] > 0} >= {"silent", "link lost", "flapping", "frozen", "partial loss", "clock", "battery"}
    for kind, row in kinds.items():
        assert row["missed"] == 0, f"{kind}: missed {judged['missed']}"
        assert row["false_positives"] == 0, f"{kind}: false {judged['false_raises']}"
    # Each of them is one alert, however often it drops or boots; silence is none, but of the device that is marked critical.
    assert [kinds[kind]["alerts"] for kind in ("flapping", "reboot loop", "silent", "link lost", "cohort silent")] == [1, 1, 1, 0, 0]
