"""Programs of the benchmark that run by themselves and print what they measured."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from deploy.local.errors import StackError

LONGEST_S = 1800


def run(argv: list[str]) -> str:
    """What it printed."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except FileNotFoundError:
        raise StackError(f"{argv[0]} is not installed") from None
    if done.returncode != 0:
        raise StackError(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def instructions(argv: list[str], function: str) -> int:
    """That are spent in a function and in what it calls, by callgrind."""
    with tempfile.TemporaryDirectory(prefix="vd-callgrind-") as folder:
        log = Path(folder, "log")
        run(["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--toggle-collect={function}*", f"--callgrind-out-file={folder}/out",
             f"--log-file={log}", *argv])
        found = re.search(r"Collected : (\d+)", log.read_text())
    if found is None or int(found[1]) == 0:
        raise StackError(f"callgrind saw no call of {function}")
    return int(found[1])
