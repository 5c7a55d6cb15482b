"""Options, rounds, output. Called by tests/bench/run, which has built everything."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lab import Lab
    from .parts import Part
    from .results import Results

ROOT = Path(__file__).resolve().parents[3]
MOST_TRIES = 3  # of a part that others disturb
HELP = """Measures ingest beside what it can be compared with, on a private stack on this machine, and prints one table.

Parts (all but soak, unless some are named; what a part is compared with is measured too):
  paho, paho64           a Paho client that only counts, on the firehose; reports of 8 and of 64 samples
  paho-quiet             the same without the trace that Paho keeps in memory
  ingest, ingest64       vedette-ingest on the firehose until everything is committed
  repeats, repeats-dup   the same while one of the 200 devices sends every report twice, without and with the DUP flag
  repeats-all            the same while all devices do
  copy, copy64           the same rows by COPY alone
  psql, node             peers on the firehose, raw text into one table
  psql-work, node-work   the same peers, doing our work
  null                   a Paho client that only counts, on Mosquitto, saturated by 200 simulated devices
  offered, half          vedette-ingest on Mosquitto at 0.7 and at 0.5 of that
  saturated              vedette-ingest on Mosquitto, saturated
  connections            many devices at one time (--connections), and a restart of the broker under them; up to 10 minutes
  backlog                PostgreSQL away under load: how fast what the journal holds drains while live traffic goes on
  backlog-broker         the worker away: the same for what the broker holds
  persistence            a broker with a million messages queued: the pause of its save, what is lost when it is killed
  store                  a month of 100 devices (--devices) in the store: bytes a sample, compression, rollups, what dashboards ask, beside one row a sample
  connectivity           fleets of simulated devices for a month: false silents, delays; cost; outages of our own through the store; up to half an hour
  series                 what a sample costs the detectors of values, with few series and a million
  soak                   memory of vedette-ingest on the firehose, each minute for --minutes; the only part that must be named
  callgrind, callgrind64 instructions a report
Nothing else should run on the machine meanwhile; a part that others disturb is measured again. Everything stops by itself and leaves nothing behind."""


class Stopped(Exception):
    """Somebody asked us to stop."""


def parse() -> argparse.Namespace:
    """The command line."""
    from .parts import PARTS

    made = argparse.ArgumentParser(prog="tests/bench/run", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("names", nargs="*", metavar="NAME", help="parts to measure (default all)")
    made.add_argument("--quick", action="store_true", help="one short round: shows that everything works, its figures mean little")
    made.add_argument("--rounds", type=int, metavar="N", help="rounds, of which medians are taken (default 3)")
    made.add_argument("--connections", type=int, metavar="N", help="devices of the part connections (default 15000, with --quick 300)")
    made.add_argument("--minutes", type=int, metavar="N", help="of the part soak (default 60, with --quick 2)")
    made.add_argument("--devices", type=int, metavar="N", help="devices with a report a minute of the part store (default 100, with --quick 10)")
    made.add_argument("--json", action="store_true", help="print everything as JSON instead of the table")
    made.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    made.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    given = made.parse_args()
    unknown = [name for name in given.names if name not in PARTS]
    if unknown:
        made.error(f"there is no part {unknown[0]}; the parts are {', '.join(PARTS)}")
    if given.rounds is not None and not 1 <= given.rounds <= 20:
        made.error("--rounds takes 1 to 20")
    if given.connections is not None and not 2 <= given.connections <= 99_999:
        made.error("--connections takes 2 to 99999")
    if given.minutes is not None and not 2 <= given.minutes <= 1440:
        made.error("--minutes takes 2 to 1440")
    if given.devices is not None and not 2 <= given.devices <= 10_000:
        made.error("--devices takes 2 to 10000")
    given.rounds = given.rounds or (1 if given.quick else 3)
    return given


def chosen(names: list[str]) -> list[str]:
    """The parts in their order, with those they are compared with."""
    from .parts import IF_NAMED, NEEDS, PARTS

    wanted = set(names or PARTS.keys() - IF_NAMED)
    wanted |= {NEEDS[name] for name in wanted if name in NEEDS}
    return [name for name in PARTS if name in wanted]


def main() -> int:
    """Exit codes: 0 fine, 1 failed, 2 wrong usage."""
    given = parse()
    if given.check:
        return 0
    from deploy.local.errors import StackError

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)
    try:
        return measure(given)
    except Stopped:
        say("stopped")
    except StackError as error:
        say(str(error))
    return 1


def measure(given: argparse.Namespace) -> int:
    """All rounds, then the table."""
    from . import machine, peers
    from .lab import FULL, QUICK, Lab
    from .parts import rows
    from .results import Results, table

    names, results = chosen(given.names), Results()
    skipped: dict[str, str] = {}
    disturbed: list[str] = []
    scale = QUICK if given.quick else FULL
    lab = Lab(ROOT, given.build.resolve(), dataclasses.replace(scale, connections=given.connections or scale.connections,
                                                               minutes=given.minutes or scale.minutes,
                                                               store_devices=given.devices or scale.store_devices))
    about = machine.describe(ROOT, lab.folder)
    try:
        say("a private stack …")
        lab.open()
        why = peers.available(lab) if {"node", "node-work"} & set(names) else ""
        if why:
            skipped = {name: why for name in ("node", "node-work") if name in names}
        for number in range(given.rounds):
            disturbed += one_round(lab, [name for name in names if name not in skipped], results, number, given)
    finally:
        for caught in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(caught, signal.SIG_IGN)
        lab.close()
    if given.json:
        print(json.dumps({"machine": about, "quick": given.quick, "rounds": results.rounds, "skipped": skipped, "disturbed": disturbed,
                          "table": [vars(row) for row in rows(results)]}, indent=1))
        return 0
    for what, value in about.items():
        print(f"{what}: {value}")
    print(f"rounds: {given.rounds}{', quick: the figures mean little' if given.quick else ''}\n")
    print(table(rows(results)))
    for name, why in skipped.items():
        print(f"\n{name}: not measured: {why}")
    if disturbed:
        print(f"\nOther programs disturbed: {', '.join(disturbed)}")
    return 0


def one_round(lab: Lab, names: list[str], results: Results, number: int, given: argparse.Namespace) -> list[str]:
    """Each part once, again when others disturbed it; returns the parts that were disturbed nevertheless."""
    from .others import QUIET
    from .parts import ONCE, PARTS

    disturbed = []
    for name in names:
        if number > 0 and name in ONCE:
            continue
        cores = math.inf
        for _ in range(1 if given.quick or name in ONCE else MOST_TRIES):
            figures, cores = one_part(lab, PARTS[name], results, given.quick)
            say(f"round {number + 1} of {given.rounds}: {name} {shown(figures)}; others used {cores:.2f} cores")
            if cores < QUIET:
                break
        results.add(name, figures)
        if cores >= QUIET and name not in ONCE:
            disturbed.append(f"{name} in round {number + 1} ({cores:.2f} cores)")
    return disturbed


def shown(figures: dict[str, float]) -> str:
    """The one that says most."""
    for name, unit in (("per_s", "/s"), ("all", " instructions"), ("kib", " KiB a connection")):
        if name in figures:
            return f"{figures[name]:,.0f}{unit}"
    return "done"


def one_part(lab: Lab, part: Part, results: Results, quick: bool) -> tuple[dict[str, float], float]:
    """Its figures, and the cores that others used meanwhile."""
    from .others import Others, wait_quiet

    if not quick:
        wait_quiet()
    others = Others()
    figures, cores = part(lab, results), others.cores()
    lab.check_ledger()
    return figures, cores


def say(text: str) -> None:
    """Progress, and why it ended: on stderr."""
    print(f"tests/bench/run: {text}", file=sys.stderr, flush=True)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
