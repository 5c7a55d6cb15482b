"""Instructions a report, counted by callgrind: the same on every machine with these compilers and libraries."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

from deploy.local.errors import StackError

from .lab import Lab

REPORTS = 20_000
BATCH = 2_000
FUNCTIONS = {"decode": "decode_report", "decode and admit": "batch_add", "number": "batch_metrics", "rows": "batch_rows",
             "encode": "batch_encode", "all": "passes_batch"}


def callgrind(lab: Lab, samples: int = 8) -> dict[str, float]:
    """Counted in passes_batch and below only; the first batch, which meets every metric for the first time, included."""
    program = lab.build / "tests" / "bench" / "bench_passes"
    words = ["--reports", str(REPORTS), "--batch", str(BATCH), "--samples", str(samples)]
    with tempfile.TemporaryDirectory(prefix="vd-callgrind-") as folder:
        out = Path(folder, "out")
        _run(["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=passes_batch", f"--callgrind-out-file={out}",
              str(program), *words])
        listing = _run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", str(out)])
    figures = {name: _instructions(listing, function) / REPORTS for name, function in FUNCTIONS.items()}
    alone = json.loads(_run([str(program), *words]))
    return figures | {f"{step} ns": alone[f"{step}_ns"] for step in ("add", "metrics", "rows", "encode")}


def _instructions(listing: str, function: str) -> int:
    match = re.search(rf"^\s*([\d,]+)[^\n]*:{function}(?:\s|$)", listing, re.MULTILINE)
    if match is None:
        raise StackError(f"callgrind saw no call of {function}")
    return int(match[1].replace(",", ""))


def _run(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    except FileNotFoundError:
        raise StackError(f"{argv[0]} is not installed: apt install valgrind") from None
    except subprocess.TimeoutExpired:
        raise StackError(f"{argv[0]} did not end within 300 s") from None
    if done.returncode != 0:
        raise StackError(f"{argv[0]} failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return done.stdout
