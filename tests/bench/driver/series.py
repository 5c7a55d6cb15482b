"""What the detectors of values cost: a sample of a series, few and a million of them, and a metric in relation to others."""

from __future__ import annotations

import json

from .lab import Lab
from .programs import instructions, run
from .results import Results, Row

FEW = 10_000
BYTES_MOST = 700          # a series
INSTRUCTIONS_MOST = 1_000 # a sample
METRIC_MOST = 100         # instructions a metric more
COUNTED_SERIES, COUNTED_STEPS, ROWS = 100, 500, 2_000  # under callgrind; ROWS as the program has it
METRICS = (8, 43)


def series(lab: Lab) -> dict[str, float]:
    """Nanoseconds are those of a sample less those that making it takes."""
    program = str(lab.build / "tests" / "bench" / "bench_series_cost")
    figures: dict[str, float] = {}
    for name, count in (("few", FEW), ("many", lab.scale.cost_devices)):
        steps = max(5_000_000 // count, 2)
        told = json.loads(run([program, "--series", str(count), "--warm", "60", "--steps", str(steps)]))
        figures |= {f"{name} {figure}": float(value) for figure, value in told.items()}
    counted = [program, "--series", str(COUNTED_SERIES), "--warm", "600", "--steps", str(COUNTED_STEPS)]
    figures["instructions"] = instructions(counted, "cost_series") / (COUNTED_SERIES * COUNTED_STEPS)
    for metrics in METRICS:
        words = [program, "--series", "1", "--warm", "1", "--steps", "1", "--metrics", str(metrics)]
        figures[f"instructions {metrics}"] = instructions(words, "cost_relations") / (ROWS * metrics)
    return figures | _clean(lab)


def _clean(lab: Lab) -> dict[str, float]:
    """Of simulated series with which nothing is wrong: samples that reach so many times what an alert needs, in 1,000 series and days."""
    program = str(lab.build / "tests" / "bench" / "bench_series_clean")
    lines = [json.loads(line) for line in run([program, "--series", str(lab.scale.clean_series)]).splitlines()]
    return {f"clean {line['kind']}: {times}": float(value) for line in lines for times, value in line.items() if times != "kind"}


def series_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    if not results.has("series"):
        return []
    f = results.rounds["series"][0]
    found = [
        Row("series: state", f"{f['few bytes']:.0f} bytes", f"{f['few bytes'] / BYTES_MOST:.2f} of wanted", f"{f['many series']:,.0f} take {f['many bytes'] * f['many series'] / 1e9:.2f} GB"),
        Row("  instructions a sample", f"{f['instructions']:,.0f}", f"{f['instructions'] / INSTRUCTIONS_MOST:.2f} of wanted", "known values, day and night"),
    ]
    found += [Row(f"  a sample, {f[f'{name} series']:,.0f} series in turn", f"{f[f'{name} series_ns']:.0f} ns",
                  f"{f[f'{name} series_ns'] / f[f'{name} bands_ns']:.0f} of an average with bands" if f[f"{name} bands_ns"] > 0 else "",
                  f"the average {f[f'{name} bands_ns']:.1f} ns; one core") for name in ("few", "many")]
    found += [Row(f"  {metrics} metrics together, instructions a metric", f"{f[f'instructions {metrics}']:,.0f}",
                  f"{f[f'instructions {metrics}'] / METRIC_MOST:.2f} of wanted", "500 rows known") for metrics in METRICS]
    kinds = [name.removeprefix("clean ").removesuffix(": 1") for name in f if name.startswith("clean ") and name.endswith(": 1")]
    return found + [_clean_row(f, kind) for kind in kinds]


def _clean_row(f: dict[str, float], kind: str) -> Row:
    def of(name: str) -> float:
        return f[f"clean {kind}: {name}"]

    return Row(f"  clean series: {kind}", f"{of('1'):.0f} in 1,000 days", f"{of('chance 5'):.2f} of the chance stated, 10⁻⁵",
               f"at the threshold of an installation with few series; {of('chance 4'):.2f} at 10⁻⁴, {of('chance 6'):.2f} at 10⁻⁶ ({of('of chance 6'):.0f}), {of('chance 7'):.2f} at 10⁻⁷;"
               f" with five alerts a day for 100,000 series a value one range outside is found in {of('found 1'):.0%}, two in {of('found 2'):.0%}, four in {of('found 4'):.0%}")
