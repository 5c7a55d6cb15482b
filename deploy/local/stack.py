"""The whole stack below one folder: certificates, PostgreSQL, Mosquitto, the daemons, the simulator, this machine's agent."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import resource
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from . import processes
from .account import service_account
from .broker import Broker
from .errors import StackError
from .options import ROOT
from .pki import Authority
from .ports import Ports
from .postgres import Postgres
from .programs import Programs

REGISTRY_COLUMNS = ("credential", "model", "firmware", "region", "time_zone", "site", "gateway", "owner", "critical")
AGENT_INTERVAL_S = 5


@dataclass(frozen=True)
class Simulation:
    """What the simulator is asked to do."""

    devices: int
    scenario: Path | None = None
    replay: Path | None = None
    speed: float | None = None


class Stack:
    """Everything, by parts: `prepare` first, then the parts in the order of the methods. Not thread-safe."""

    def __init__(self, folder: Path, build: Path, ports: Ports, *, overrides: Mapping[str, Any] | None = None,
                 debug_broker: bool = False, wal_segment_mib: int = 16) -> None:
        self.folder = folder
        self.ports = ports
        self.account = service_account()
        self.programs = Programs(build, folder / "bin", self.account)
        self.overrides = dict(overrides or {})
        self.logs = folder / "logs"
        self.config = folder / "vedette.yaml"
        self.truth = folder / "sim" / "truth.jsonl"
        self.sim_status = folder / "sim" / "status.json"
        self.postgres = Postgres(folder / "postgres", folder / "pg", self.logs / "postgres.log", self.account,
                                 wal_segment_mib=wal_segment_mib)
        self.broker = Broker(folder / "mosquitto", folder / "pki", self.account, ports.devices, ports.ingest, debug=debug_broker)
        self.processes: dict[str, processes.Process] = {"postgres": self.postgres.process, "mosquitto": self.broker.process}
        self.authority: Authority

    def prepare(self) -> None:
        """Folders, certificates and the configuration file. What is there stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.account.can_enter(self.folder):
            raise StackError(f"user {self.account.name} cannot reach {self.folder}: put the checkout into a folder that "
                             "everybody may enter, such as /srv")
        self.logs.mkdir(exist_ok=True)
        for part in ("journal", "sim", "agent"):
            self.account.folder(self.folder / part)
        self.authority = Authority(self.folder / "pki", self.account)
        self.authority.issue_server()
        self.authority.issue_ingest()
        self.write_config()

    def write_config(self) -> None:
        """Writes vedette.yaml; every path in it is relative to its folder."""
        http = {"ingest": self.ports.ingest_http, "analysis": self.ports.analysis_http, "keeper": self.ports.keeper_http}
        values: dict[str, Any] = {
            "store": {"host": "./pg"},
            "broker": {"host": "127.0.0.1", "port": self.ports.ingest, "ca": "pki/ca.crt", "certificate": "pki/ingest.crt",
                       "key": "pki/ingest.key"},
            "ingest": {"worker": "ingest-1", "journal": {"folder": "journal"}, "http": {"port": http["ingest"]}},
            "analysis": {"worker": "analysis-1", "http": {"port": http["analysis"]},
                         "connectivity": {"learn_s": 20, "young": 1}},  # nobody here is seen for days
            "keeper": {"http": {"port": http["keeper"]}},
        }
        text = "# Written by the local stack at each start.\n" + yaml.safe_dump(_merged(values, self.overrides), sort_keys=False)
        self.config.write_text(text, encoding="utf-8")

    def start_store(self, template: Path | None = None) -> bool:
        """Starts PostgreSQL and makes the database; True when the cluster is new."""
        new = self.postgres.create(template)
        self.postgres.start()
        if template is None:
            self.postgres.bootstrap(ROOT / "storage" / "bootstrap.sql")
        return new

    def migrate(self) -> None:
        """Brings the schema to this version."""
        self.vedette("migrate")

    def vedette(self, *words: str | Path) -> str:
        """Runs the operator's command on this stack and returns what it printed."""
        return processes.run([self.programs.path("vedette"), "--config", self.config, *words], self.account, timeout=300)

    def vedette_eval(self, *words: str | Path) -> str:
        """Judges the detectors on this stack and returns what was printed."""
        subcommand, *more = words
        return processes.run([self.programs.path("vedette-eval"), subcommand, "--config", self.config, *more], self.account, timeout=300)

    def start_broker(self) -> None:
        """Starts Mosquitto."""
        self.broker.start()

    def register(self, devices_csv: str, firmware_csv: str | None = None) -> int:
        """Puts devices, and known firmware of their models, into the registry and makes their certificates."""
        credentials = [row["credential"] for row in csv.DictReader(io.StringIO(devices_csv))]
        self.authority.issue_devices(credentials)
        self._import("device", devices_csv)
        if firmware_csv is not None and firmware_csv.count("\n") > 1:
            self._import("firmware", firmware_csv)
        return len(credentials)

    def start_ingest(self) -> processes.Process:
        """Starts the ingest worker and waits until it is ready."""
        return self._start_daemon("vedette-ingest", self.ports.ingest_http)

    def start_analysis(self) -> processes.Process:
        """Starts the analysis worker and waits until it is ready."""
        return self._start_daemon("vedette-analysis", self.ports.analysis_http)

    def start_keeper(self, *, ready: bool = True) -> processes.Process:
        """Starts the keeper of the store and, with `ready`, waits until its first round is done."""
        return self._start_daemon("vedette-keeper", self.ports.keeper_http, ready=ready)

    def reachable(self, simulation: Simulation) -> Simulation:
        """The same simulation; scenario and recordings are copies where the account cannot read the originals."""
        copies = self.folder / "given"
        return replace(simulation, scenario=simulation.scenario and self.account.readable(simulation.scenario, copies),
                       replay=simulation.replay and self.account.readable(simulation.replay, copies))

    def simulator_words(self, simulation: Simulation) -> list[str | Path]:
        """The simulator's command line for a simulation."""
        words: list[str | Path] = ["--devices", str(simulation.devices)]
        if simulation.scenario is not None:
            words += ["--scenario", simulation.scenario]
        if simulation.replay is not None:
            words += ["--replay", simulation.replay, "--replay-loop"]
        if simulation.speed is not None:
            words += ["--speed", f"{simulation.speed:g}"]
        return words

    def register_simulated(self, simulation: Simulation) -> int:
        """Registers the devices that the simulator will be, with their firmware."""
        words = [self.programs.path("vedette-sim"), *self.simulator_words(simulation)]
        listed = processes.run([*words, "--list-credentials"], self.account)
        return self.register(listed, processes.run([*words, "--list-firmware"], self.account))

    def start_simulator(self, simulation: Simulation, *more: str | Path) -> processes.Process:
        """Starts the simulated devices, with more options of the simulator."""
        argv = [*self._device_side("vedette-sim"), "--certs", self.authority.devices, "--status", self.sim_status,
                *self.simulator_words(simulation), *more]
        if simulation.scenario is not None:
            argv += ["--truth", self.truth]
        return self._start("vedette-sim", argv)

    def register_agent(self) -> str:
        """Registers this machine as a device and returns its credential."""
        credential = agent_credential()
        self.register(registry_csv({"credential": credential, "model": "linux-host", "site": "here"}))
        return credential

    def start_agent(self, credential: str) -> processes.Process:
        """Starts the agent of this machine."""
        base = self.authority.devices / credential
        argv = [*self._device_side("vedette-agent"), "--cert", f"{base}.crt", "--key", f"{base}.key", "--credential", credential,
                "--interval", str(AGENT_INTERVAL_S), "--state", self.folder / "agent" / "state"]
        return self._start("vedette-agent", argv)

    def record(self) -> None:
        """Writes who runs, by number and start time, for `./run down` and for the next start."""
        rows = [{"name": "run", "pid": os.getpid(), "begun": processes.start_time(os.getpid()), "signal": 15}]
        rows += [{"name": name, "pid": one.pid, "begun": processes.start_time(one.pid), "signal": int(one.stop_signal)}
                 for name, one in self.processes.items() if one.alive()]
        target = self.folder / "running.json"
        fresh = target.with_name("running.json.new")
        fresh.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        fresh.rename(target)

    def stop(self) -> None:
        """Stops everything, whoever publishes first and the database last."""
        for names in (("vedette-sim", "vedette-agent"), ("vedette-ingest", "vedette-analysis", "vedette-keeper"), ("mosquitto",)):
            group = [self.processes[name] for name in names if name in self.processes]
            for one in group:
                one.ask_to_stop()
            for one in group:
                one.stop(grace=4)
        self.postgres.stop()
        (self.folder / "running.json").unlink(missing_ok=True)

    def kill9(self, name: str) -> None:
        """Kills one of the processes with everything below it, without a warning."""
        self.processes[name].kill9()

    def _device_side(self, name: str) -> list[str | Path]:
        """A program with the options that name the devices' side of the broker."""
        return [self.programs.path(name), "--broker", f"127.0.0.1:{self.ports.devices}", "--ca", self.authority.ca]

    def _start_daemon(self, name: str, http_port: int, *, ready: bool = True) -> processes.Process:
        process = self._start(name, [self.programs.path(name), "--config", self.config])
        if ready:
            process.wait_ready(lambda: is_ready(http_port), 30, f"ready (http://127.0.0.1:{http_port}/readyz)")
        return process

    def _start(self, name: str, argv: list[str | Path]) -> processes.Process:
        process = processes.Process(name, argv, self.logs / f"{name}.log", self.account)
        self.processes[name] = process
        process.start()
        return process

    def _import(self, what: str, content: str) -> None:
        path = self.folder / f"{what}.csv"
        path.write_text(content, encoding="utf-8")
        self.vedette(what, "import", path)


def registry_csv(*devices: Mapping[str, str]) -> str:
    """The registry's CSV for these devices; a column not given stays empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, REGISTRY_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(devices)
    return out.getvalue()


def agent_credential() -> str:
    """The name of this machine as a device."""
    return "host-" + (re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower())[:64] or "local")


def is_ready(http_port: int) -> bool:
    """Whether a daemon says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def raise_file_limit(wanted: int) -> None:
    """Lets us and our children have as many files open as we may: in simulator and broker each device is a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise StackError(f"{wanted} open files are needed and {hard} are allowed here (ulimit -Hn); ask for fewer --devices")
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def stop_leftovers(folder: Path) -> int:
    """Stops what an earlier run recorded and left behind; returns how many there were."""
    try:
        rows = json.loads((folder / "running.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    stopped = sum(processes.stop_recorded(row["pid"], row["begun"], row["signal"], 15) for row in rows)
    (folder / "running.json").unlink(missing_ok=True)
    return stopped


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = _merged(base[key], value) if both else value
    return merged
