"""Many devices at one broker: memory and time a connection, and what a restart of the broker costs when devices keep their reports."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError
from deploy.local.processes import Process, run, wait_until
from deploy.local.stack import raise_file_limit

from . import cpu
from .lab import MODEL, Lab
from .results import Results, Row

PREFIX = "con-"
REPORTS_EACH = 6        # that a device makes on average until the end
CONNECT_RATE = 1000     # attempts a second, more than the broker takes
SPARE_DESCRIPTORS = 500
LONGEST_S = 570.0       # the whole part
STEADY_S = 5.0
NOTHING_MISSING = """
SELECT count(*), coalesce(sum(stored), 0), coalesce(sum(last - stored), 0) FROM (
  SELECT r.publisher, count(DISTINCT r.sequence) AS stored, max(r.sequence) AS last
  FROM store.report r JOIN store.device d ON d.id = r.publisher
  WHERE d.credential LIKE %s AND r.size > 0 GROUP BY r.publisher) p"""


class Fleet:
    """The simulated devices, and how many of them were connected at which moment."""

    def __init__(self, lab: Lab, devices: int, cadence_s: float) -> None:
        self._lab = lab
        self.devices = devices
        self.reports = REPORTS_EACH * devices
        self._status = lab.folder / "sim" / "connections.json"
        self._ends = time.monotonic() + LONGEST_S
        program = lab.stack.programs.path("vedette-sim")
        self._fleet: list[str | Path] = [program, "--devices", str(devices), "--prefix", PREFIX, "--model", MODEL]
        self._words: list[str | Path] = [
            "--broker", f"127.0.0.1:{lab.stack.ports.devices}", "--ca", lab.stack.authority.ca, "--certs",
            lab.stack.authority.devices, "--status", self._status, "--cadence", f"{cadence_s:g}", "--connect-rate",
            str(CONNECT_RATE), "--count", str(self.reports), "--keep", "--linger", "120"]
        self.process: Process

    def register(self) -> None:
        """Certificates and registry."""
        self._lab.stack.register(run([*self._fleet, "--list-credentials"], self._lab.stack.account))

    def start(self) -> None:
        """Starts all devices; they connect from now on."""
        self._ends = time.monotonic() + LONGEST_S
        duration = ["--duration", f"{LONGEST_S:.0f}"]  # whatever happens to us
        self.process = self._lab.process("vedette-sim", [*self._fleet, *self._words, *duration])

    def status(self) -> dict[str, Any]:
        """What the simulator counts, as of the last second."""
        try:
            return dict(json.loads(self._status.read_text(encoding="utf-8")))
        except OSError:
            return {"connected": 0, "connections_lost": 0}

    def all_connected(self, begun: float, lost: int = 0) -> dict[str, float]:
        """Waits for it, after so many connections were lost altogether; seconds since `begun` until a half, 99 % and all were (the
        simulator tells once a second)."""
        marks: dict[str, float] = {}

        def look() -> bool:
            status, now = self.status(), time.monotonic() - begun
            connected = status["connected"] if status["connections_lost"] >= lost else 0
            for name, share in (("half", 0.5), ("most", 0.99), ("all", 1.0)):
                if connected >= share * self.devices:
                    marks.setdefault(name, now)
            return "all" in marks

        self.wait(look, "the connection of all devices")
        return marks

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Waits until something holds, while the devices are there."""
        wait_until(lambda: condition() or not self.process.alive(), max(0.0, self._ends - time.monotonic()), step=0.1)
        if not condition():
            raise StackError(self.process.failure() if not self.process.alive() else f"{what} did not come within {LONGEST_S:.0f} s;"
                             f" connected: {self.status()['connected']} of {self.devices}")

    def end(self) -> None:
        """Waits until all reports are made and confirmed."""
        self.wait(lambda: not self.process.alive(), "the confirmation of all reports")
        if self.process.exit_code() != 0:
            raise StackError(self.process.failure())


def resident_kib(process: Process) -> float:
    """Resident memory."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def restart(broker: Process, answers: Callable[[], bool]) -> None:
    """As an operator does: it saves what it has, ends, and is started again."""
    broker.stop(grace=60)
    broker.start()
    broker.wait_ready(answers, 60, "listening")


def connections(lab: Lab) -> dict[str, float]:
    """Devices connect, report, lose the broker by a restart and come back; nothing that they made may be missing."""
    devices = lab.scale.connections
    raise_file_limit(devices + SPARE_DESCRIPTORS)
    fleet = Fleet(lab, devices, lab.scale.cadence_s)
    fleet.register()
    lab.empty_store()
    broker, worker = lab.fresh_broker(), lab.start_ingest(firehose=False)
    empty_kib, used, begun = resident_kib(broker), cpu.of_process(broker.pid), time.monotonic()
    fleet.start()
    connected = fleet.all_connected(begun)
    connect_us = (cpu.of_process(broker.pid) - used).total
    steady, steady_began = cpu.of_process(broker.pid), time.monotonic()
    time.sleep(STEADY_S)
    figures = {"devices": float(devices), "kib": (resident_kib(broker) - empty_kib) / devices, "connect_us": connect_us / devices,
               "cores": (cpu.of_process(broker.pid) - steady).total / 1e6 / (time.monotonic() - steady_began)}
    lost, gone = fleet.status()["connections_lost"] + devices, time.monotonic()
    restart(broker, lab.stack.broker.answers)
    figures["down_s"] = time.monotonic() - gone
    back = fleet.all_connected(gone, lost)
    figures |= {"back_us": cpu.of_process(broker.pid).total / devices, "back_kib": resident_kib(broker) / devices}
    fleet.end()
    figures |= {f"connect_{name}_s": value for name, value in connected.items()} | {f"back_{name}_s": value for name, value in back.items()}
    worker.stop(grace=15)
    return figures | nothing_missing(lab, fleet)


def nothing_missing(lab: Lab, fleet: Fleet) -> dict[str, float]:
    """What the devices made against what the store has."""
    ((publishers, stored, missing),) = lab.sql(NOTHING_MISSING, PREFIX + "%")
    status = fleet.status()
    if publishers != fleet.devices or stored != fleet.reports or missing != 0 or status["kept"]["dropped"] != 0:
        raise StackError(f"of {fleet.reports} reports of {fleet.devices} devices {stored} of {publishers} are stored, {missing} are"
                         f" missing in between, {status['kept']['dropped']} had no room on their device")
    return {"reports": float(stored), "resent": float(status["kept"]["resent"]), "failed": float(status["connects_failed"])}


def connection_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    if not results.has("connections"):
        return []
    figures = results.rounds["connections"][0]
    devices = figures["devices"]
    return [
        Row(f"{devices:,.0f} devices over mutual TLS on Mosquitto", f"{figures['kib']:.1f} KiB a connection", "",
            f"resident memory of the broker; {figures['cores']:.2f} cores of it while they report once in a while"),
        Row("  until all are connected", f"{figures['connect_all_s']:.0f} s", "",
            f"a half after {figures['connect_half_s']:.0f} s; broker {figures['connect_us'] / 1000:.2f} ms a connection"),
        Row("  until all are back after a restart", f"{figures['back_all_s']:.0f} s", "",
            f"since SIGTERM; listening again after {figures['down_s']:.1f} s, a half after {figures['back_half_s']:.0f} s, 99 % after"
            f" {figures['back_most_s']:.0f} s; broker {figures['back_us'] / 1000:.2f} ms a connection"),
        Row("  reports lost", "0", "", f"{figures['reports']:,.0f} made and stored once, {figures['resent']:,.0f} sent again;"
            f" {figures['failed']:,.0f} attempts to connect failed"),
    ]
