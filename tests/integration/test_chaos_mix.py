"""Some of tests/chaos: kills, freezes, cuts and a full disk at once, with everything real, and books that hold to the message."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 300  # far above what it takes


@pytest.mark.parametrize("more", [(), ("--keep",)], ids=["acknowledged", "kept"])
def test_books_hold_through_everything_at_once(build: Path, more: tuple[str, ...]) -> None:
    """Devices that believe the broker's acknowledgement, and devices that keep their reports until they are stored. The moments
    follow from a seed that a failure prints."""
    seed = int(os.environ.get("VEDETTE_SEED", random.SystemRandom().randrange(10**6)))
    done = subprocess.run([ROOT / "tests" / "chaos", "--minutes", "0.25", "--samples", "100", "--seed", str(seed), "--build", build,
                           *more], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "all adds up" in done.stdout
