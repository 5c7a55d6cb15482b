"""What many devices do together is one alert, and names what they have in common."""

from __future__ import annotations

from typing import Any

import pytest
import scenarios
from support import Installation


@pytest.fixture
def settings() -> dict[str, Any]:
    """Of this file's stacks."""
    return scenarios.SETTINGS


def test_a_region_is_one_alert(tuned: Installation) -> None:
    """Thirty devices of a region go and come back: one alert names the region, another the return."""
    scenarios.run(tuned, "outage.yaml", 120, 260, cadence_s=2)
    raised = tuned.query("SELECT kind, key, state, sentence FROM vedette.alert WHERE credential = 'vedette' ORDER BY opened_at")
    assert [(kind, key) for kind, key, _, _ in raised] == [("cohort silent", "site:oslo-1"), ("reconnect storm", "return")]  # all of the region
    assert raised[0][2] == "cleared"
    assert "site oslo-1" in raised[0][3] and "site oslo-1" in raised[1][3]
    assert tuned.query("SELECT kind, credential FROM vedette.alert a JOIN vedette.device d USING (credential) WHERE NOT d.critical") == []
