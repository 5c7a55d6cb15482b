"""The command line of ./run. Imports nothing that may be missing yet, so that options are checked before anything is done.

Called as `python3 -m deploy.local.options …` it only checks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".run"
SCENARIO = ROOT / "deploy" / "scenarios" / "first-look.yaml"
RECORDED = ROOT / "deploy" / "recorded"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> Parser:
    """The options; hidden ones are for ./run itself."""
    made = Parser(prog="./run", formatter_class=argparse.RawDescriptionHelpFormatter, description=(
        "Builds Vedette and runs it here: a private PostgreSQL and Mosquitto, the daemons, simulated devices, recorded ones,\n"
        "and this machine as a real one. Everything lives in .run/. Ctrl-C stops it all; the next ./run goes on with its data."))
    made.add_argument("command", nargs="?", choices=("up", "down"), default="up",
                      help="up (default) starts and shows it; down stops one that runs elsewhere or was left behind")
    made.add_argument("--devices", type=_number(int, 0, 1_000_000), default=50, metavar="N",
                      help="simulated devices (default 50)")
    made.add_argument("--scenario", type=Path, metavar="FILE",
                      help="what happens to them (default deploy/scenarios/first-look.yaml)")
    made.add_argument("--replay", type=Path, metavar="DIR",
                      help="recorded series that are published too (default deploy/recorded)")
    made.add_argument("--speed", type=_number(float, 0.001, 100_000), metavar="X",
                      help="replay recordings X times as fast as recorded")
    made.add_argument("--no-sim", action="store_true", help="no simulated or recorded devices, only this machine")
    made.add_argument("--fresh", action="store_true", help="forget the data and certificates of earlier runs")
    made.add_argument("--for", dest="seconds", type=_number(float, 1, 1e9), metavar="SECONDS",
                      help="stop by itself after so long")
    made.add_argument("--port", type=_number(int, 1024, 65532), metavar="P",
                      help="use ports P to P+3, not 8883, 8884, 9601 and 9602")
    made.add_argument("--from", dest="origin", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, default=STATE, help=argparse.SUPPRESS)
    made.add_argument("--build", type=Path, default=ROOT / "build" / "release", help=argparse.SUPPRESS)
    return made


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The options, checked: paths exist and are absolute (relative ones are taken from --from). Otherwise one line and exit 2."""
    made = parser()
    given = made.parse_args(words)
    if given.no_sim and (given.scenario or given.replay or given.speed):
        made.error("--no-sim leaves nothing for --scenario, --replay or --speed to do")
    given.scenario = (given.origin / given.scenario).resolve() if given.scenario else SCENARIO
    given.replay = (given.origin / given.replay).resolve() if given.replay else RECORDED
    if given.command == "up" and not given.no_sim:
        if not given.scenario.is_file():
            made.error(f"--scenario: there is no file {given.scenario}")
        if not given.replay.is_dir():
            made.error(f"--replay: there is no folder {given.replay}")
    return given


def _number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {least:g} to {most:.0f}")
        return value

    return convert


if __name__ == "__main__":
    parse()
