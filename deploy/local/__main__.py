"""./run after installing and building: start, show, stop. Called as `python3 -m deploy.local up|down …` from the checkout."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from .errors import StackError
from .options import parse
from .ports import Ports
from .stack import Simulation, Stack, raise_file_limit, stop_leftovers
from .status import Display
from .supervise import Supervisor

BOUND = Path("/mnt")  # where ./run shows .run to an account that cannot reach the checkout


class Stopped(Exception):
    """Somebody asked us to stop."""


def main() -> int:
    """Exit codes: 0 fine, 1 failed, 2 wrong usage."""
    given = parse()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)
    try:
        return down(given.folder) if given.command == "down" else up(given)
    except Stopped:
        return 0
    except StackError as error:
        shown = str(error).replace(f"{BOUND}/", ".run/") if given.folder == BOUND else str(error)
        print(f"./run: {shown}", file=sys.stderr)
        return 1


def down(folder: Path) -> int:
    """Stops a stack that runs."""
    stopped = stop_leftovers(folder)
    say("stopped; the data stays in .run" if stopped else "nothing is running")
    return 0


def up(given: argparse.Namespace) -> int:
    """Starts everything, shows it, and stops it again however it ends."""
    if stop_leftovers(given.folder):
        say("stopped what an earlier run had left behind")
    if given.fresh:
        forget(given.folder)
    ports = Ports() if given.port is None else Ports.starting_at(given.port)
    ports.require_free()
    stack = Stack(given.folder, given.build, ports)
    try:
        simulation = start(stack, given)
        show(stack, simulation, given.seconds)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        say("stopping …")
        stack.stop()
        say("stopped; the data is in .run and the next ./run goes on with it")
    return 0


def start(stack: Stack, given: argparse.Namespace) -> Simulation | None:
    """Starts the parts in their order, with a line for each."""
    began = time.monotonic()
    if stack.account.switch:
        say(f"everything below runs as user {stack.account.name}")
    raise_file_limit(1000 + (0 if given.no_sim else given.devices))
    stack.prepare()
    say("PostgreSQL …")
    if stack.start_store():
        say("  made a new database")
    stack.record()
    stack.migrate()
    say(f"Mosquitto on 127.0.0.1:{stack.ports.devices} (TLS, client certificates) …")
    stack.start_broker()
    simulation = None
    if not given.no_sim:
        simulation = stack.reachable(Simulation(given.devices, given.scenario, given.replay, given.speed))
    credential = stack.register_agent()
    if simulation is not None:
        say(f"  {stack.register_simulated(simulation)} devices have certificates and are registered")
    stack.record()
    say("vedette-keeper, vedette-ingest and vedette-analysis …")
    stack.start_keeper()
    stack.start_ingest()
    stack.start_analysis()
    say("this machine as a device" + (", simulated devices …" if simulation else " …"))
    stack.start_agent(credential)
    if simulation is not None:
        stack.start_simulator(simulation)
    stack.record()
    say(f"up after {time.monotonic() - began:.1f} s")
    return simulation


def show(stack: Stack, simulation: Simulation | None, seconds: float | None) -> None:
    """Live status until somebody stops us or the time is over."""
    supervisor = Supervisor(stack)
    end = None if seconds is None else time.monotonic() + seconds
    with Display(stack, simulated=simulation is not None) as display:
        while end is None or time.monotonic() < end:
            for line in supervisor.look():
                display.note(line)
            display.draw()
            time.sleep(1)


def forget(folder: Path) -> None:
    """Removes all state but the lock that ./run holds."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def say(text: str) -> None:
    """One line of progress."""
    print(f"./run: {text}", flush=True)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
