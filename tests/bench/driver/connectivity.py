"""Connectivity: how often it is wrong and how fast on simulated fleets, what it costs, and what it says after an outage of our own."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError

from . import blindness
from .lab import Lab
from .programs import run
from .results import Results, Row

STATE_MOST = 256          # bytes
INSTRUCTIONS_MOST = 400   # of the detector an observation
DELAY_MOST = 2.0          # cadences, median of mains devices
COUNTED_DEVICES = 2_000   # under callgrind
COUNTED_MINUTES = 10
# Inclusive; names as callgrind has them.
COUNTED = {"detector": r"detectors/connectivity\.c:observe", "observe": r"cost\.c:cost_observe", "advance": r"cost\.c:cost_advance",
           "detector advance": r"detectors/connectivity\.c:advance"}


def connectivity(lab: Lab) -> dict[str, float]:
    """All of it; figures of a kind are named `<kind>: <figure>`."""
    return _fleets(lab) | _instructions(lab) | _million(lab) | blindness.blindness(lab)


def _program(lab: Lab, name: str) -> list[str]:
    return [str(lab.build / "tests" / "bench" / name), "--config", str(lab.root / "deploy" / "vedette.example.yaml")]


def _flat(values: dict[str, Any], prefix: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            figures |= _flat(value, f"{prefix}{name} ")
        elif isinstance(value, int | float):
            figures[prefix + name] = float(value)
    return figures


def _fleets(lab: Lab) -> dict[str, float]:
    words = ["--quick"] if lab.scale.quick_fleets else []
    figures: dict[str, float] = {}
    for line in run(_program(lab, "bench_connectivity") + words).splitlines():
        said = json.loads(line)
        figures |= _flat(said, f"{said['kind']}: ")
    return figures


def _instructions(lab: Lab) -> dict[str, float]:
    """Of warmed-up devices with a report a minute."""
    argv = [*_program(lab, "bench_connectivity_cost"), "--devices", str(COUNTED_DEVICES), "--warm", "200", "--minutes", str(COUNTED_MINUTES)]
    with tempfile.TemporaryDirectory(prefix="vd-callgrind-") as folder:
        out = Path(folder, "out")
        run(["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=cost_counted", f"--callgrind-out-file={out}", *argv])
        listing = run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", str(out)])
    return {f"instructions {name}": _counted(listing, pattern) / (COUNTED_DEVICES * COUNTED_MINUTES) for name, pattern in COUNTED.items()}


def _counted(listing: str, pattern: str) -> int:
    match = re.search(rf"^\s*([\d,]+)[^\n]*{pattern}[.\w]*(?:\s|$)", listing, re.MULTILINE)
    if match is None:
        raise StackError(f"callgrind saw no call of {pattern}")
    return int(match[1].replace(",", ""))


def _million(lab: Lab) -> dict[str, float]:
    argv = [*_program(lab, "bench_connectivity_cost"), "--devices", str(lab.scale.cost_devices), "--warm", "15", "--minutes", "5"]
    return _flat(json.loads(run(argv)), "cost ")


# --- the table


def connectivity_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    if not results.has("connectivity"):
        return []
    f = results.rounds["connectivity"][0]
    kinds = [name.removesuffix(": device_days") for name in f if name.endswith(": device_days")]
    return [_all_row(f), _delay_row(f), *(_kind_row(f, kind) for kind in kinds if kind != "all"), *_cost_rows(f), *(_blind_row(f, case) for case in blindness.CASES)]


def _all_row(f: dict[str, float]) -> Row:
    days, silents, rate = f["all: device_days"], f["all: false_silent"], f["all: rate"]
    early, first = f["all: early"], f["all: devices"]
    return Row("connectivity: false silents", f"{silents / days * 1e4:.2f} in 10,000 device-days", f"{silents / days / rate:.2f} of stated",
               f"{silents:.0f} in {days:,.0f} device-days, 95 % bound {f['all: bound'] * 1e4:.2f}; {early:.0f} on first days,"
               f" {(silents - early) / (days - first) * 1e4:.2f} in 10,000 after;"
               f" {f['all: false_link']:.0f} false link lost; {f['all: wrong_alerts']:.0f} wrong alerts; {f['all: observations']:,.0f} observations")


def _delay_row(f: dict[str, float]) -> Row:
    median = f.get("all: mains median")
    if median is None:
        return Row("  absence of mains devices found after", "–", "", "none went away")
    return Row("  absence of mains devices found after", f"{median:.2f} cadences", f"{median / DELAY_MOST:.2f} of wanted",
               f"median; p95 {f['all: mains p95']:.1f}; no will; {f['all: mains found']:.0f} of {f['all: mains absences']:.0f}, the others were back before")


def _kind_row(f: dict[str, float], kind: str) -> Row:
    def of(name: str) -> float:
        return f.get(f"{kind}: {name}", float("nan"))

    given, unknown = of("false_silent given"), of("false_silent unknown")
    found = [f"{what} {of(f'{key} found'):.0f} of {of(f'{key} absences'):.0f}" + (f" after {of(f'{key} median'):.1f} (p95 {of(f'{key} p95'):.1f})" if of(f"{key} found") else "")
             for what, key in (("deaths", "deaths"), ("unplugged", "unplugs")) if of(f"{key} absences")]
    return Row(f"  {kind}", f"{given + unknown:.0f} in {of('device_days'):,.0f}", f"bound {of('false_silent bound') * 1e4:.1f} in 10,000",
               "; ".join([f"cadence given {given:.0f}, not {unknown:.0f}", *found, f"late {of('late_a_day'):.3f} and rows {of('rows_a_day'):.2f} a device-day",
                          f"alerts {of('alerts'):.0f} of {of('devices'):.0f} devices"]))


def _cost_rows(f: dict[str, float]) -> list[Row]:
    detector = f["instructions detector"]
    return [
        Row("connectivity: state", f"{f['cost state_bytes']:.0f} bytes", f"{f['cost state_bytes'] / STATE_MOST:.2f} of wanted", f"of {f['cost states_bytes']:.0f} of all detectors"),
        Row("  instructions an observation", f"{detector:,.0f}", f"{detector / INSTRUCTIONS_MOST:.2f} of wanted",
            f"context_observe with all detectors {f['instructions observe']:,.0f}; advances {f['instructions advance']:,.0f}, of it the detector"
            f" {f['instructions detector advance']:,.0f}; a report a minute"),
        Row(f"  {f['cost devices']:,.0f} devices, a report a minute", f"{f['cost per_s']:,.0f}/s", f"{f['cost times_real']:.1f} of real time",
            f"one core; {f['cost device_bytes']:.0f} bytes a device; observe {f['cost observe_ns']:.0f} ns, advance {f['cost advance_ns']:.0f} ns an observation;"
            f" an advance with nobody due {f['cost idle_advance_ns']:.1f} ns"),
    ]


def _blind_row(f: dict[str, float], case: str) -> Row:
    def of(name: str) -> float:
        return f[f"{case} {name}"]

    fine = (of("blind alerts") == 1 and of("other alerts") == 0 and of("false") == 0 and of("found") == blindness.DIE and of("cadences") <= DELAY_MOST
            and of("intervals") == 1 and of("closed") == 1 and of("named") == 1)
    what = "ingest, a slow backlog," if case == "backlog" else case
    return Row(f"{what} away for {blindness.AWAY_S / 60:.0f} min, {f['blind devices']:,.0f} devices", f"{of('false'):.0f} false, {of('found'):.0f} of {blindness.DIE} found",
               "as wanted" if fine else "not as wanted",
               f"{of('blind alerts'):.0f} alert of blindness, {of('other alerts'):.0f} others; {of('intervals'):.0f} interval ({of('closed'):.0f} closed, {of('named'):.0f} by its name),"
               f" {of('blind_s'):.0f} s; the last found {of('cadences'):.2f} cadences after what had waited was there ({of('drain_s'):.0f} s); {of('changes'):.0f} changes of connectivity")
