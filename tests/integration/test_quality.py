"""The detectors of values on recorded telemetry with labels: no change makes them worse unseen. Skips where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT.parent / "shared"
BUILD = (ROOT / os.environ.get("VEDETTE_BUILD", "build/asan")).resolve()


@pytest.fixture(scope="module")
def figures() -> dict[str, dict[str, float]]:
    """What `tests/quality` finds, by set."""
    if not (RECORDED / "nab" / "score.py").is_file():
        pytest.skip(f"no recorded telemetry with labels at {RECORDED}")
    done = subprocess.run([sys.executable, ROOT / "tests" / "quality", RECORDED, "--build", BUILD, "--json"],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def test_series(figures: dict[str, dict[str, float]]) -> None:
    assert figures["nab"]["standard"] > 76


def test_relations(figures: dict[str, dict[str, float]]) -> None:
    assert figures["batadal"]["row_f1"] >= 0.80 and figures["batadal"]["found"] == 7
    assert figures["skab"]["row_f1"] >= 0.78
    assert figures["router-telemetry"]["found"] == 8 and figures["outside"] == 0
