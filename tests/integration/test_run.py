"""./run: starts, shows, stops, goes on with its data, and leaves no process, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.local.ports import Ports
from deploy.local.processes import start_time, wait_until

ROOT = Path(__file__).resolve().parents[2]
RUN = ["/usr/bin/python3", "-m", "deploy.local"]  # what ./run becomes once everything is installed and built
UP_S = 60  # with sanitizers on two busy cores


class Runner:
    """One state folder, started any number of times."""

    def __init__(self, folder: Path, build: Path) -> None:
        self.folder = folder
        self._build = build
        first = Ports.free().devices
        self._port = first if first < 65000 else 20000

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts it without a terminal."""
        command = [*RUN, "--folder", str(self.folder), "--build", str(self._build), "--port", str(self._port), *words]
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    def running(self) -> dict[str, tuple[int, int]]:
        """Who runs, by name: number and start time."""
        try:
            rows = json.loads((self.folder / "running.json").read_text(encoding="utf-8"))
        except OSError:
            return {}
        return {row["name"]: (row["pid"], row["begun"]) for row in rows}

    def wait_up(self, names: set[str]) -> dict[str, tuple[int, int]]:
        """Waits until all these run."""
        assert wait_until(lambda: names <= self.running().keys(), UP_S), f"only {sorted(self.running())} came up"
        return self.running()


ALL = {"run", "postgres", "mosquitto", "vedette-ingest", "vedette-analysis", "vedette-keeper", "vedette-agent", "vedette-sim"}


@pytest.fixture
def runner(build: Path) -> Iterator[Runner]:
    """A runner that leaves nothing."""
    with tempfile.TemporaryDirectory(prefix="vd-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = Runner(folder, build)
        yield made
        subprocess.run([*RUN, "down", "--folder", name], cwd=ROOT, check=True, capture_output=True)


def gone(processes: dict[str, tuple[int, int]]) -> bool:
    """Whether none of them is there any more."""
    return all(start_time(pid) != begun for pid, begun in processes.values())


def stored(output: str) -> int:
    """The last number of stored reports in the plain status."""
    lines = [line for line in output.splitlines() if " stored, " in line]
    assert lines, output
    return int(lines[-1].rpartition(" stored, ")[0].rpartition(" ")[2].replace(",", ""))


def test_run_shows_and_stops_by_itself_and_goes_on(runner: Runner) -> None:
    """Twice in one folder: the second run has the first one's data."""
    first = runner.start("--devices", "12", "--for", "15")
    running = runner.wait_up(ALL)
    output, _ = first.communicate(timeout=90)
    assert first.returncode == 0, output
    assert gone(running)
    assert stored(output) > 5, output
    second = runner.start("--no-sim", "--for", "8")
    output_again, _ = second.communicate(timeout=90)
    assert second.returncode == 0, output_again
    assert stored(output_again) > stored(output), output_again


def test_interrupt_stops_everything_soon(runner: Runner) -> None:
    """Ctrl-C."""
    started = runner.start("--devices", "12")
    running = runner.wait_up(ALL)
    began = time.monotonic()
    started.send_signal(signal.SIGINT)
    output, _ = started.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert started.returncode == 0, output
    assert gone(running)
    assert not (runner.folder / "running.json").exists()


def test_down_stops_everything(runner: Runner) -> None:
    """From another terminal."""
    started = runner.start("--devices", "12")
    running = runner.wait_up(ALL)
    down = subprocess.run([*RUN, "down", "--folder", str(runner.folder)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert down.returncode == 0, down.stderr
    assert gone(running)
    started.communicate(timeout=30)


def test_killed_run_leaves_no_process(runner: Runner) -> None:
    """Even without a chance to clean up: the kernel tells the children."""
    started = runner.start("--devices", "12")
    running = runner.wait_up(ALL)
    started.kill()
    started.communicate(timeout=30)
    assert wait_until(lambda: gone(running), 20), [name for name, (pid, begun) in running.items() if start_time(pid) == begun]


def test_killed_part_is_started_again(runner: Runner) -> None:
    """The database is killed under a running stack."""
    started = runner.start("--devices", "12", "--for", "25")
    pid, begun = runner.wait_up(ALL)["postgres"]
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: runner.running().get("postgres", (pid, begun)) != (pid, begun), 20)
    output, _ = started.communicate(timeout=90)
    assert started.returncode == 0, output
    assert "postgres ended (ended by SIGKILL) and was started again" in output


@pytest.mark.parametrize(("words", "complaint"), [
    (["--devices", "many"], "--devices: 'many' is not a whole number"),
    (["--for", "0"], "--for: '0' is not a number"),
    (["--scenario", "nowhere.yaml"], "--scenario: there is no file"),
    (["--replay", "nowhere"], "--replay: there is no folder"),
    (["--bogus"], "unrecognized arguments: --bogus"),
])
def test_wrong_options_are_said_in_one_line_before_anything_happens(words: list[str], complaint: str) -> None:
    """The script itself: nothing is installed or built for a wrong option."""
    done = subprocess.run([str(ROOT / "run"), *words], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert complaint in done.stderr and done.stderr.count("\n") == 1 and not done.stdout


def test_help_works() -> None:
    """Without installing or building."""
    done = subprocess.run([str(ROOT / "run"), "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert "--scenario" in done.stdout
