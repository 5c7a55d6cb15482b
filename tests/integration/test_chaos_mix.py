"""Half a minute of tests/chaos: kills, freezes, cuts and a full disk at once, with everything real, and books that hold to the message."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 300  # far above what it takes


def test_books_hold_through_everything_at_once(build: Path) -> None:
    """The moments follow from a seed that a failure prints."""
    seed = int(os.environ.get("VEDETTE_SEED", random.SystemRandom().randrange(10**6)))
    done = subprocess.run([ROOT / "tests" / "chaos", "--minutes", "0.4", "--samples", "250", "--seed", str(seed), "--build",
                           build],
                          capture_output=True, text=True, timeout=LIMIT_S, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "all adds up" in done.stdout
